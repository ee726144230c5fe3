/**
 * One source at work: pulls messages, stores a job for each and acknowledges it.
 *
 * The loop connects, and pulls while there is room for more. Each message then goes its own way: made into a job, stored, and handed to
 * the next acknowledgement. While the store does not take it, it is tried again under the same id, with one pause for
 * all that wait; when its connection is lost it is released, since the broker delivers it again. A message of which no job
 * can be made is parked: stored as a job that has failed.
 */
import type { Client } from '../client/client.ts'
import { sleep } from '../core/clock.ts'
import { ErrandError, isErrandError } from '../core/errors.ts'
import { errorText } from '../core/kept-error.ts'
import { setImmediate } from '../core/timers.ts'
import { answered } from '../loops/call-deadline.ts'
import { Health, isOfTheBatch, Loop } from '../loops/supervised.ts'
import type { NewJob } from '../store/job.ts'
import { MessageJobs, Misfit } from './message-jobs.ts'
import type { SourceSettings } from './settings.ts'
import type { SourceMessage, SourceRoom, SourceConnection } from './source.ts'

/** How long a source may take, and how long the end of a feed does, in ms. */
const bounds = {
  /** A source connects, and pulls, within 30 s; one that hangs is dropped. */
  connectMs: 40_000,
  pullMs: 60_000,
  /** The first pull of a connection shows that it works. */
  firstPullMs: 1_000,
  acknowledgeMs: 10_000,
  /** At a stop, how long what is held may still be stored. */
  stopMs: 5_000,
  closeMs: 6_000,
} as const

/** The state of a source. */
export interface SourceStatus {
  readonly name: string
  readonly state: 'connecting' | 'connected' | 'stopped'
  /** Failures in a row to connect or to pull; 0 is healthy. */
  readonly failures: number
  /** Failures in a row to store jobs; 0 is healthy. */
  readonly storeFailures: number
  /** What last went wrong, in words; null for nothing. */
  readonly lastError: string | null
  /** Messages that are held now, and the bytes of their bodies. */
  readonly held: Required<SourceRoom>
  /** Since the start: messages that became jobs, that were known before, and that were parked. */
  readonly stored: number
  readonly known: number
  readonly parked: number
}

/** What became of a message. */
type Fate = 'stored' | 'known' | 'parked'

export class Feed {
  readonly #client: Client
  readonly #settings: SourceSettings
  readonly #jobs: MessageJobs
  readonly #loop: Loop
  readonly #inserts: Health
  readonly #acknowledgements: Health
  /** Aborts when no more is pulled. */
  readonly #stop = new AbortController()
  /** Aborts when no more is stored either. */
  readonly #over = new AbortController()
  readonly #held = new Set<SourceMessage>()
  readonly #counts: Record<Fate, number> = { stored: 0, known: 0, parked: 0 }
  /** What a stop found neither stored nor lost. */
  readonly #left = new Set<SourceMessage>()
  #heldBytes = 0
  #connection: SourceConnection | null = null
  #isFresh = false
  /** Messages whose job is stored, to be acknowledged. */
  #done = new Map<SourceConnection, SourceMessage[]>()
  #acknowledging: Promise<void> | null = null
  /** How long to wait before the next pull, since an acknowledgement failed. */
  #waitMs = 0
  #pausing: Promise<void> | null = null
  #released: () => void = () => undefined
  #lastError: string | null = null
  #stopping: Promise<void> | null = null

  constructor(client: Client, settings: SourceSettings) {
    const { events, store } = client.app
    const part = `source ${settings.name}`
    this.#client = client
    this.#settings = settings
    this.#jobs = new MessageJobs(client, settings)
    this.#inserts = new Health(`${part}, its jobs`, events)
    this.#acknowledgements = new Health(`${part}, its acknowledgements`, events)
    this.#loop = new Loop(part, events, store.clock, () => this.#pass())
  }

  get status(): SourceStatus {
    const { name } = this.#settings
    const isLive = this.#connection !== null && !this.#isFresh
    return {
      name,
      state: this.#stop.signal.aborted ? 'stopped' : isLive ? 'connected' : 'connecting',
      failures: this.#loop.health.failures,
      storeFailures: this.#inserts.failures,
      lastError: this.#lastError,
      held: { messages: this.#held.size, bytes: this.#heldBytes },
      ...this.#counts,
    }
  }

  start(): void {
    this.#loop.start()
  }

  /** Pulls no more, lets what is held be stored for a while, and gives the rest back. Resolves within 15 s. */
  stop(): Promise<void> {
    this.#stop.abort()
    return (this.#stopping ??= this.#end())
  }

  async #end(): Promise<void> {
    this.#released()
    await this.#briefly(this.#loop.stop())
    const { clock } = this.#client.app.store
    const late = new AbortController()
    const rested = this.#atRest().then(() => late.abort())
    await sleep(clock, bounds.stopMs, late.signal)
    this.#over.abort()
    await Promise.race([rested, sleep(clock, bounds.stopMs)])
    const connection = this.#connection
    if (connection === null) return
    const left = [...this.#left, ...this.#held]
    if (left.length > 0) await this.#briefly(connection.giveBack(left))
    await this.#drop(connection)
  }

  /** Resolves when nothing is held any more. */
  async #atRest(): Promise<void> {
    while (this.#held.size > 0 && !this.#over.signal.aborted)
      await new Promise<void>((resolve) => this.#onRelease(resolve))
    await this.#acknowledging
  }

  async #pass(): Promise<number> {
    if (this.#waitMs > 0) {
      const ms = this.#waitMs
      this.#waitMs = 0
      await sleep(this.#client.app.store.clock, ms, this.#stop.signal)
    }
    const connection = await this.#connected()
    try {
      const room = this.#room()
      if (room === null) {
        await this.#roomAgain(connection)
        return 0
      }
      for (const message of await this.#pull(connection, room)) this.#take(connection, message)
      if (this.#isFresh) this.#works()
      return 0
    } catch (error) {
      await this.#drop(connection)
      // It was dropped because an acknowledgement failed, which was reported there.
      if (this.#waitMs > 0) return 0
      this.#lastError = errorText(error)
      throw error
    }
  }

  async #connected(): Promise<SourceConnection> {
    if (this.#connection?.lost.aborted) await this.#drop(this.#connection)
    if (this.#connection !== null) return this.#connection
    try {
      const connecting = this.#settings.source.connect(this.#stop.signal)
      const connection = await answered(this.#client.app.store.clock, connecting, {
        withinMs: bounds.connectMs,
        late: (one) => void this.#drop(one),
      })
      this.#isFresh = true
      this.#connection = connection
      if (!this.#stop.signal.aborted) return connection
      await this.#drop(connection)
      throw new ErrandError('closed', 'The source was stopped while it connected.')
    } catch (error) {
      if (!this.#stop.signal.aborted) this.#lastError = errorText(error)
      throw error
    }
  }

  async #pull(
    connection: SourceConnection,
    room: Required<SourceRoom>,
  ): Promise<readonly SourceMessage[]> {
    const { clock } = this.#client.app.store
    if (this.#stop.signal.aborted) return []
    const first = new AbortController()
    const signal = this.#isFresh
      ? AbortSignal.any([this.#stop.signal, first.signal])
      : this.#stop.signal
    const cancel = this.#isFresh ? clock.after(bounds.firstPullMs, () => first.abort()) : noTimer
    try {
      return await answered(clock, connection.pull(room, signal), { withinMs: bounds.pullMs })
    } finally {
      cancel()
    }
  }

  #works(): void {
    this.#isFresh = false
    this.#client.app.events.emit('source-connected', { source: this.#settings.name })
  }

  /** How much more may be held; null for nothing. */
  #room(): Required<SourceRoom> | null {
    const { messages, bytes } = this.#settings.prefetch
    const room = { messages: messages - this.#held.size, bytes: bytes - this.#heldBytes }
    return room.messages > 0 && room.bytes > 0 ? room : null
  }

  async #roomAgain({ lost }: SourceConnection): Promise<void> {
    while (this.#room() === null && !lost.aborted && !this.#stop.signal.aborted) {
      await new Promise<void>((resolve) => {
        lost.addEventListener('abort', () => resolve(), { once: true })
        this.#onRelease(resolve)
      })
    }
    if (lost.aborted) throw lost.reason
  }

  #onRelease(call: () => void): void {
    const before = this.#released
    this.#released = () => {
      this.#released = () => undefined
      before()
      call()
    }
  }

  #take(connection: SourceConnection, message: SourceMessage): void {
    this.#held.add(message)
    this.#heldBytes += message.body.length
    void this.#carry(connection, message)
  }

  #release(message: SourceMessage): void {
    if (!this.#held.delete(message)) return
    this.#heldBytes -= message.body.length
    this.#released()
  }

  /** Carries a message to its end: acknowledged, or released with its connection. */
  async #carry(connection: SourceConnection, message: SourceMessage): Promise<void> {
    const fate = await this.#whileHeld(connection, () => this.#store(connection, message))
    if (fate === null && !connection.lost.aborted) this.#left.add(message)
    if (fate === null || connection.lost.aborted) return this.#release(message)
    this.#counts[fate]++
    const done = this.#done.get(connection)
    if (done === undefined) this.#done.set(connection, [message])
    else done.push(message)
    this.#acknowledging ??= this.#acknowledge()
  }

  async #store(connection: SourceConnection, message: SourceMessage): Promise<Fate> {
    let jobs: readonly NewJob[] | null = null
    try {
      jobs = await this.#jobs.of(message)
      if (jobs.length === 0) return 'known'
      return await this.#insert(connection, jobs)
    } catch (error) {
      if (error instanceof Misfit) return this.#park(connection, message, error.cause)
      // The store works and refuses it: it always will.
      if (jobs !== null && (await this.#isRefused(error)))
        return this.#park(connection, message, error)
      throw error
    }
  }

  /** Stores jobs of a message that is held, under the same ids for as long as it takes. */
  async #insert(connection: SourceConnection, jobs: readonly NewJob[]): Promise<Fate> {
    for (;;) {
      try {
        const { status } = await this.#client.insert(jobs)
        this.#inserts.worked()
        return status === 'duplicate' ? 'known' : 'stored'
      } catch (error) {
        if (!this.#isHeld(connection) || (await this.#isRefused(error))) throw error
        await this.#pause(error)
        if (!this.#isHeld(connection)) throw error
      }
    }
  }

  async #park(connection: SourceConnection, message: SourceMessage, error: unknown): Promise<Fate> {
    const job = await this.#parkedJob(connection, message, error)
    await this.#insert(connection, [job])
    const { name } = this.#settings
    const { queue } = message
    this.#client.app.events.emit('message-parked', { source: name, queue, job: job.id, error })
    return 'parked'
  }

  async #parkedJob(
    connection: SourceConnection,
    message: SourceMessage,
    error: unknown,
  ): Promise<NewJob> {
    try {
      return this.#jobs.parked(message, error, null)
    } catch (tooLarge) {
      if (!isErrandError(tooLarge, 'too-large')) throw tooLarge
      return this.#jobs.parked(message, error, await connection.setAside(message))
    }
  }

  async #isRefused(error: unknown): Promise<boolean> {
    const { store } = this.#client.app
    return isOfTheBatch(error, () => answered(store.clock, store.insert([])))
  }

  /** Tries again what fails, while the message is held; null when it is not any more. */
  async #whileHeld<T>(connection: SourceConnection, act: () => Promise<T>): Promise<T | null> {
    while (this.#isHeld(connection)) {
      try {
        return await act()
      } catch (error) {
        if (this.#isHeld(connection)) await this.#pause(error)
      }
    }
    return null
  }

  #isHeld(connection: SourceConnection): boolean {
    return !connection.lost.aborted && !this.#over.signal.aborted
  }

  /** One pause for all that wait for the store. */
  #pause(error: unknown): Promise<void> {
    if (this.#pausing === null) {
      this.#lastError = errorText(error)
      const ms = this.#inserts.failed(error)
      this.#pausing = this.#rest(ms)
    }
    return this.#pausing
  }

  async #rest(ms: number): Promise<void> {
    await sleep(this.#client.app.store.clock, ms, this.#over.signal)
    this.#pausing = null
  }

  /** Acknowledges together what is stored by the end of this turn of the event loop, and so on. */
  async #acknowledge(): Promise<void> {
    await new Promise<void>((resolve) => setImmediate(resolve))
    while (this.#done.size > 0) {
      const all = this.#done
      this.#done = new Map()
      for (const [connection, messages] of all) {
        await this.#acknowledgeTo(connection, messages)
        for (const message of messages) this.#release(message)
      }
    }
    this.#acknowledging = null
  }

  async #acknowledgeTo(
    connection: SourceConnection,
    messages: readonly SourceMessage[],
  ): Promise<void> {
    if (connection.lost.aborted) return
    try {
      await answered(this.#client.app.store.clock, connection.acknowledge(messages), {
        withinMs: bounds.acknowledgeMs,
      })
      this.#acknowledgements.worked()
    } catch (error) {
      this.#lastError = errorText(error)
      this.#waitMs = this.#acknowledgements.failed(error)
      await this.#drop(connection)
    }
  }

  async #drop(connection: SourceConnection): Promise<void> {
    if (this.#connection === connection) this.#connection = null
    await this.#briefly(connection.close())
  }

  /** Waits for a source's own clean-up, but not for ever. */
  async #briefly(work: Promise<unknown>): Promise<void> {
    const over = new AbortController()
    const ended = work.catch((error: unknown) => (this.#lastError = errorText(error)))
    await Promise.race([ended, sleep(this.#client.app.store.clock, bounds.closeMs, over.signal)])
    over.abort()
  }
}

function noTimer(): void {
  return undefined
}
