/**
 * Reads the JSON of requests, within bounds: of bytes and time for each body, of bytes for all that
 * are read at once, of depth for what is made of them.
 */
import type { Readable } from 'node:stream'
import type { Clock } from '../core/clock.ts'
import { formatMs } from '../core/duration.ts'
import { messageOf } from '../core/kept-error.ts'
import type { ApiRequest } from './api-request.ts'
import { Problem } from './problem.ts'

export interface BodyBounds {
  /** The most bytes of one body. */
  readonly maxBytes: number
  /** The most bytes of all bodies whose requests are not answered yet. */
  readonly maxBytesAtOnce: number
  /** How long one body may take to come in. */
  readonly withinMs: number
  readonly clock: Clock
}

/** A body that was read. */
export interface Body {
  readonly value: unknown
  /** Its text, for those who need the digits that `value` has not; null where there is none. */
  readonly text: string | null
  /** To be given back by `release` when the request is answered. */
  readonly bytes: number
}

/** A body that comes in. */
interface Gathering {
  readonly bytes: Promise<Uint8Array>
  readonly held: () => number
  readonly stop: () => void
}

interface Wait {
  readonly endsAt: number
  readonly late: (problem: Problem) => void
}

/** Arrays and objects inside each other: what is deeper overflows the stack of those who walk it. */
const maxDepth = 1_100

export const noBody: Body = { value: undefined, text: null, bytes: 0 }

export class BodyReader {
  readonly #bounds: BodyBounds
  readonly #decoder = new TextDecoder('utf-8', { fatal: true })
  /** In the order of their ends. */
  readonly #waits = new Set<Wait>()
  #isWatching = false
  #held = 0

  constructor(bounds: BodyBounds) {
    this.#bounds = bounds
  }

  /**
   * Resolves with undefined for an empty body. `incoming` is where a server of Node has it. Rejects
   * with 408, 413, 415, 400, and 503 when too much is read already. `maxBytes` in place of the bound of all.
   */
  async read(
    request: ApiRequest,
    incoming: Readable | null,
    maxBytes: number = this.#bounds.maxBytes,
  ): Promise<Body> {
    const length = request.headers.get('content-length')
    if (length === '0') return noBody
    if (length !== null && Number(length) > maxBytes) throw tooLarge(maxBytes)
    const isJson = isJsonType(request.headers.get('content-type'))
    // A body of nothing needs no type; without a length, whether it is one shows when it is read.
    if (!isJson && length !== null) throw notJsonType()
    const bytes = await this.#inTime(
      incoming === null
        ? this.#fromWeb(request.body, maxBytes)
        : this.#fromNode(incoming, maxBytes),
    )
    if (bytes.byteLength === 0) return noBody
    try {
      if (!isJson) throw notJsonType()
      return { ...this.#parse(bytes), bytes: bytes.byteLength }
    } catch (error) {
      this.release(bytes.byteLength)
      throw error
    }
  }

  release(bytes: number): void {
    this.#held -= bytes
  }

  #fromNode(incoming: Readable, maxBytes: number): Gathering {
    const chunks: Uint8Array[] = []
    let held = 0
    let stop = (): void => undefined
    const bytes = new Promise<Uint8Array>((resolve, reject) => {
      const take = (chunk: Buffer): void => {
        try {
          held += this.#hold(held, chunk.byteLength, maxBytes)
          chunks.push(chunk)
        } catch (error) {
          reject(error)
        }
      }
      const end = (): void => {
        leave()
        resolve(joined(chunks))
      }
      const broken = (): void => reject(brokeOff())
      const leave = (): void => {
        incoming.off('data', take).off('end', end).off('error', broken).off('close', broken)
      }
      stop = () => {
        leave()
        // Nobody takes the rest: the server drains it, or closes the connection.
        if (!incoming.readableEnded) incoming.pause()
      }
      incoming.on('data', take).on('end', end).on('error', broken).on('close', broken)
      if (incoming.destroyed) broken()
    })
    return { bytes, held: () => held, stop }
  }

  #fromWeb(body: ApiRequest['body'], maxBytes: number): Gathering {
    const reader: ReadableStreamDefaultReader<Uint8Array> | undefined = body?.getReader()
    const chunks: Uint8Array[] = []
    let held = 0
    let isStopped = false
    const gather = async (): Promise<Uint8Array> => {
      for (;;) {
        const read = await reader?.read().catch(() => Promise.reject(brokeOff()))
        if (read?.value === undefined || isStopped) return joined(chunks)
        held += this.#hold(held, read.value.byteLength, maxBytes)
        chunks.push(read.value)
      }
    }
    // Nobody waits for the rest, so how that ends does not matter.
    const stop = (): void => {
      isStopped = true
      reader?.cancel().catch(() => undefined)
    }
    return { bytes: gather(), held: () => held, stop }
  }

  /** Waits for a body to come in; one that does not is let go of. */
  #inTime({ bytes, held, stop }: Gathering): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const failed = (error: unknown): void => {
        if (!this.#waits.delete(wait)) return
        stop()
        this.release(held())
        reject(error)
      }
      const wait: Wait = {
        endsAt: this.#bounds.clock.now() + this.#bounds.withinMs,
        late: failed,
      }
      this.#waits.add(wait)
      if (this.#waits.size === 1) this.#watch()
      bytes.then((read) => {
        this.#waits.delete(wait)
        resolve(read)
      }, failed)
    })
  }

  /** Ends waits whose time is up. One timer serves all: each body may take as long as any other. */
  #watch(): void {
    if (this.#isWatching) return
    const { clock, withinMs } = this.#bounds
    const [first] = this.#waits
    if (first === undefined) return
    this.#isWatching = true
    clock.after(Math.max(1, first.endsAt - clock.now()), () => {
      this.#isWatching = false
      const said = `The body took longer than ${formatMs(withinMs)} to come in.`
      for (const wait of this.#waits) {
        if (wait.endsAt > clock.now()) break
        wait.late(new Problem('timeout', said, { status: 408, headers: { connection: 'close' } }))
      }
      this.#watch()
    })
  }

  /** Takes more bytes of a body that has some; throws when they are too many. */
  #hold(had: number, more: number, maxBytes: number): number {
    if (had + more > maxBytes) throw tooLarge(maxBytes)
    if (this.#held + more > this.#bounds.maxBytesAtOnce)
      throw new Problem('overloaded', 'Too many large bodies are read at once; try again soon.')
    this.#held += more
    return more
  }

  #parse(bytes: Uint8Array): Omit<Body, 'bytes'> {
    let text: string
    try {
      text = this.#decoder.decode(bytes)
    } catch {
      throw new Problem('not-json', 'The body is not UTF-8.')
    }
    if (isTooDeep(text))
      throw new Problem('not-json', `The body is deeper than ${maxDepth} arrays and objects.`)
    try {
      return { value: JSON.parse(text) as unknown, text }
    } catch (error) {
      throw new Problem('not-json', `The body is not JSON: ${messageOf(error)}.`)
    }
  }
}

function tooLarge(maxBytes: number): Problem {
  return new Problem('too-large', `A body has at most ${maxBytes} bytes.`)
}

function joined(chunks: readonly Uint8Array[]): Uint8Array {
  const [only] = chunks
  return only !== undefined && chunks.length === 1 ? only : Buffer.concat(chunks)
}

/** A body that breaks off has no other reader of this than its sender. */
function brokeOff(): Problem {
  return new Problem('not-json', 'The body broke off.')
}

function isJsonType(type: string | null): boolean {
  return type?.split(';')[0]?.trim().toLowerCase() === 'application/json'
}

function notJsonType(): Problem {
  return new Problem('unsupported-media-type', 'Send the body as application/json.')
}

const quote = 0x22
const backslash = 0x5c

function isTooDeep(text: string): boolean {
  if (text.length <= maxDepth) return false
  let depth = 0
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === quote) {
      for (at++; at < text.length && text.charCodeAt(at) !== quote; at++)
        if (text.charCodeAt(at) === backslash) at++
    } else if (code === 0x5b || code === 0x7b) {
      if (++depth > maxDepth) return true
    } else if (code === 0x5d || code === 0x7d) depth--
  }
  return false
}
