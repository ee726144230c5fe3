/** What a child writes to its standard streams: lines for a job's log, and the last bytes for errors. */
import { StringDecoder } from 'node:string_decoder'

/** How much of one attempt's output goes to its log. */
const loggedBytes = 64 * 1_024
/** How much of the end is kept for errors. */
const tailBytes = 8 * 1_024
const longestLine = 8 * 1_024

/** Cuts a stream of bytes into lines. After so many bytes it says once that the rest is left out. */
export class LoggedLines {
  readonly #log: (line: string) => void
  readonly #decoder = new StringDecoder('utf8')
  #rest = ''
  #bytes = 0
  #isCut = false

  constructor(log: (line: string) => void) {
    this.#log = log
  }

  push(chunk: Buffer): void {
    if (this.#isCut) return
    const room = loggedBytes - this.#bytes
    this.#bytes += chunk.length
    const lines = (this.#rest + this.#decoder.write(chunk.subarray(0, room))).split(/\r?\n/)
    this.#rest = lines.pop() ?? ''
    for (const line of lines) this.#write(line)
    if (this.#rest.length > longestLine) this.#flush()
    if (this.#bytes <= loggedBytes) return
    this.#flush()
    this.#isCut = true
    this.#log(`(what it writes after ${loggedBytes / 1_024} KiB is not kept)`)
  }

  /** The stream has ended, or what follows is of another attempt. */
  end(): void {
    if (!this.#isCut) this.#flush()
  }

  #flush(): void {
    const rest = this.#rest
    this.#rest = ''
    this.#write(rest)
  }

  #write(line: string): void {
    if (line.trim() !== '') this.#log(line)
  }
}

/** The last bytes of a stream. */
export class Tail {
  #chunks: Buffer[] = []
  #bytes = 0

  push(chunk: Buffer): void {
    this.#chunks.push(chunk)
    this.#bytes += chunk.length
    if (this.#bytes > 4 * tailBytes) this.#shorten()
  }

  get text(): string {
    this.#shorten()
    return this.#chunks[0]?.toString('utf8') ?? ''
  }

  clear(): void {
    this.#chunks = []
    this.#bytes = 0
  }

  #shorten(): void {
    const whole = Buffer.concat(this.#chunks)
    this.#chunks = [Buffer.from(whole.subarray(Math.max(0, whole.length - tailBytes)))]
    this.#bytes = this.#chunks[0]?.length ?? 0
  }
}

/** The end of a text, for a message: whole lines where there are any, so many characters at most. */
export function lastLines(text: string, most = 1_200): string {
  const trimmed = text.trim()
  if (trimmed.length <= most) return trimmed
  const cut = trimmed.slice(-most)
  return `… ${cut.slice(cut.indexOf('\n') + 1)}`
}
