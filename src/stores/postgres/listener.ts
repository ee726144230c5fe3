/**
 * Hears what other processes tell by NOTIFY.
 *
 * Modes: deaf (nobody has watched for `lingerMs`) → connecting → listening (messages come; a ping to itself each `pingMs` proves it) → connecting again when
 * the connection ends, or a ping is not answered in time from when it is sent, which is how a half-open connection shows. A connection
 * on which pings are answered but no message comes, as behind a pooler, is left alone for `hopelessMs`; the slow poll of workers is underneath.
 */
import type { Hint } from '../../store/worker-calls.ts'
import type { Held, Source } from './connection.ts'
import type { Database } from './database.ts'
import { TELL_ENDS } from './end-waits.ts'
import { clearTimeout, setTimeout } from '../../core/timers.ts'

const pingMs = 15_000
const answerMs = 5_000
const hopelessMs = 60_000
/** How long it listens on when nobody watches any more: some watch again and again for a moment. */
const lingerMs = 5_000
const retryMs = { first: 50, most: 4_000 } as const

/** Waits for no disk: a hint that a crash of the server takes away is no loss. */
const TELL = `SELECT set_config('synchronous_commit', 'off', true), pg_notify($1, $2)`

const hints: ReadonlySet<string> = new Set<Hint>([
  'work',
  'cancel',
  'paused',
  'finished',
  'lock',
  'record',
])

interface Message {
  readonly channel: string
  readonly payload?: string
}

export interface ListenerTimes {
  readonly pingMs: number
  readonly answerMs: number
}

export class Listener {
  readonly #db: Database
  readonly #source: Source | null
  readonly #channel: string
  readonly #times: ListenerTimes
  #wanted: AbortController | null = null
  #heardPing: (() => void) | null = null
  #linger: NodeJS.Timeout | null = null

  constructor(db: Database, source: Source | null, times: ListenerTimes = { pingMs, answerMs }) {
    this.#db = db
    this.#source = source
    this.#times = times
    this.#channel = db.named('errand.hints')
  }

  start(): void {
    this.#stay()
    if (this.#wanted !== null || this.#source === null) return
    this.#wanted = new AbortController()
    void this.#listen(this.#source, this.#wanted.signal)
  }

  /** Nobody watches any more. */
  leave(): void {
    this.#stay()
    this.#linger = setTimeout(() => this.stop(), lingerMs)
    this.#linger.unref()
  }

  stop(): void {
    this.#stay()
    this.#wanted?.abort()
    this.#wanted = null
  }

  #stay(): void {
    if (this.#linger !== null) clearTimeout(this.#linger)
    this.#linger = null
  }

  /** Sends a hint to other processes; whether it arrives does not matter. */
  tell(hint: Hint): void {
    if (this.#db.isClosed) return
    const message = hint === 'finished' ? TELL_ENDS : TELL
    this.#db.write(message, [this.#channel, this.#db.hints.message(hint)]).catch(() => {})
  }

  async #listen(source: Source, signal: AbortSignal): Promise<void> {
    for (let failures = 0; !signal.aborted;) {
      let held: Held | null = null
      let broken = true
      try {
        await this.#db.setup()
        held = await source.holdListening()
        const worked = await this.#hear(held, signal, () => (failures = 0))
        broken = worked === 'broken'
        if (worked === 'deaf') await pause(hopelessMs, signal)
      } catch {
        // Whatever it was, the next round tries again, after a pause.
      }
      held?.release(broken)
      failures += 1
      const waitMs = Math.min(retryMs.most, retryMs.first * 2 ** Math.min(failures, 10))
      if (!signal.aborted) await pause(waitMs * (0.5 + Math.random() / 2), signal)
    }
  }

  /** Listens until the connection fails or nobody wants to hear any more. */
  async #hear(
    held: Held,
    signal: AbortSignal,
    works: () => void,
  ): Promise<'broken' | 'deaf' | 'done'> {
    const { client } = held
    const ended = new AbortController()
    const end = (): void => ended.abort()
    const message = ({ channel, payload = '' }: Message): void => {
      if (channel === this.#channel) this.#heard(payload)
    }
    client.on('notification', message)
    client.on('end', end)
    client.on('error', end)
    const either = AbortSignal.any([signal, ended.signal])
    try {
      await held.run({ text: `LISTEN "${this.#channel}"` })
      // What happened before is not told any more.
      for (const hint of hints) this.#db.hints.hear(hint as Hint)
      while (!either.aborted) {
        const answer = await this.#ping(held)
        if (answer === 'deaf') return ended.signal.aborted ? 'broken' : 'deaf'
        works()
        await pause(this.#times.pingMs, either)
      }
      if (ended.signal.aborted) return 'broken'
      await held.run({ text: `UNLISTEN "${this.#channel}"` })
      return 'done'
    } finally {
      client.removeListener('notification', message)
      client.removeListener('end', end)
      client.removeListener('error', end)
    }
  }

  /** A ping that is not answered ends the connection. It waits for what others have under way on it, which has a deadline of its own. */
  async #ping(held: Held): Promise<'heard' | 'deaf'> {
    const { answerMs: withinMs } = this.#times
    const { promise: heard, resolve } = Promise.withResolvers<'heard'>()
    this.#heardPing = () => resolve('heard')
    const message = this.#db.hints.message('ping')
    await held.run({ text: TELL, values: [this.#channel, message] }, withinMs)
    const over = new AbortController()
    const late = pause(withinMs, over.signal).then(() => 'deaf' as const)
    return Promise.race([heard, late]).finally(() => over.abort())
  }

  #heard(payload: string): void {
    const [hint = '', from] = payload.split(':')
    if (hint === 'ping') {
      if (from === this.#db.hints.self) this.#heardPing?.()
    } else if (hints.has(hint) && from !== this.#db.hints.self) {
      this.#db.hints.hear(hint as Hint)
    }
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve()
    const timer = setTimeout(done, ms)
    timer.unref()
    signal.addEventListener('abort', done, { once: true })
    function done(): void {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
  })
}
