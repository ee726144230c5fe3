/**
 * Keeps the charts: writes what the runs of this process came to, looks each minute how the queues
 * stand, unless somebody else did, and removes what is too old. A process in which nothing happens,
 * beside a store in which nothing waits, makes no calls for it.
 */
import type { App } from '../app/app.ts'
import { answered } from '../loops/call-deadline.ts'
import type { StoreTime } from '../loops/store-time.ts'
import { Loop, mayPass } from '../loops/supervised.ts'
import type { Ticks } from '../loops/time.ts'
import { boundedQueues } from '../observe/bounded-queues.ts'
import {
  depthWriter,
  historyKey,
  historyPrefix,
  keptMs,
  readKey,
  spanMs,
  writeDepths,
  type Depth,
  type Span,
} from '../observe/history/format.ts'
import { HistoryRecorder } from '../observe/history/recorder.ts'
import type { QueueStats } from '../store/readers.ts'
import type { PutAnswer, RecordWrite } from '../store/records.ts'

const bounds = {
  /** A minute is written as it grows, this often. */
  writeEveryMs: 30_000,
  /** What is too old is looked for this often, and so much of it is removed in one call. */
  pruneEveryMs: 600_000,
  prunedAtOnce: 500,
} as const

export interface HistorianOptions {
  readonly app: App
  /** The id of the worker or the keeper. */
  readonly id: string
  readonly time: StoreTime
  readonly ticks: Ticks
}

export class Historian {
  readonly loop: Loop
  readonly #options: HistorianOptions
  readonly #recorder: HistoryRecorder
  #lookedAtMinute = 0
  #prunedAt: number
  /** Whether jobs are ready, as a heartbeat said. */
  #isReady = false
  /** Whether the queues were not empty when they were last looked at. */
  #wasBusy = false
  /** Whether this process was the last to look at the queues: then it does so again, without asking. */
  #isMine = false
  /** The store lets this process write no charts. */
  #isRefused = false

  constructor(options: HistorianOptions) {
    const { app, id, time, ticks } = options
    this.#options = options
    this.#recorder = new HistoryRecorder(id, () => time.now)
    this.#prunedAt = ticks()
    this.loop = new Loop('history', app.events, app.store.clock, () => this.#pass())
  }

  /** What a heartbeat has learnt. */
  told({ ready }: { readonly ready: boolean }): void {
    this.#isReady = ready
  }

  start(): void {
    this.#recorder.start(this.#options.app.events)
    this.loop.start()
  }

  async stop(): Promise<void> {
    await this.loop.stop()
    this.#recorder.stop()
    // A store that is away takes nothing more; what it has is whole up to half a minute ago.
    await this.#write('the-end').catch(() => undefined)
  }

  async #pass(): Promise<number> {
    if (this.#isRefused) return Infinity
    try {
      const isChanged = this.#recorder.isChanged
      await this.#write('now')
      await this.#lookAtQueues(isChanged)
      if (isChanged) await this.#prune()
    } catch (error) {
      if (mayPass(error) !== 'no') throw error
      // A token for some queues writes no records: others do.
      this.#isRefused = true
      this.#recorder.stop()
    }
    return bounds.writeEveryMs
  }

  async #write(at: 'now' | 'the-end'): Promise<void> {
    if (this.#isRefused || !this.#recorder.isChanged) return
    const writes = this.#recorder.writes(at)
    await this.#put(writes)
    this.#recorder.written(writes)
  }

  /** Once in each minute, by whoever comes first. */
  async #lookAtQueues(isChanged: boolean): Promise<void> {
    const { app, time } = this.#options
    const { now } = time
    const minute = Math.floor(now / spanMs.minute)
    if (minute === this.#lookedAtMinute) return
    if (!isChanged && !this.#isReady && !this.#wasBusy) return
    this.#lookedAtMinute = minute
    const keys: readonly (readonly [Span, number])[] = [
      ['minute', minute],
      ['hour', Math.floor(now / spanMs.hour)],
    ]
    const { store } = app
    if (!this.#isMine) {
      const key = historyKey('minute', minute, depthWriter)
      const [known = null] = await answered(store.clock, store.getRecords([key]))
      if (known !== null) return
    }
    const depths = depthsOf(await answered(store.clock, store.stats()), now)
    this.#wasBusy = depths.length > 0
    const text = writeDepths(depths)
    const [answer] = await this.#put(
      keys.map(([span, n]) => ({ key: historyKey(span, n, depthWriter), text, if: null })),
    )
    this.#isMine = answer === 'put'
  }

  async #prune(): Promise<void> {
    const { app, ticks, time } = this.#options
    if (ticks() - this.#prunedAt < bounds.pruneEveryMs) return
    this.#prunedAt = ticks()
    const { store } = app
    for (const span of ['minute', 'hour'] as const) {
      const first = Math.floor((time.now - keptMs[span]) / spanMs[span])
      const query = { prefix: historyPrefix(span), after: null, limit: bounds.prunedAtOnce }
      const oldest = await answered(store.clock, store.listRecords(query))
      const gone = oldest.filter(({ key }) => (readKey(span, key)?.n ?? first) < first)
      await this.#put(gone.map(({ key }) => ({ key, text: null })))
    }
  }

  async #put(writes: readonly RecordWrite[]): Promise<readonly PutAnswer[]> {
    const { store } = this.#options.app
    return writes.length === 0 ? [] : answered(store.clock, store.putRecords(writes))
  }
}

/** The queues with most jobs that have not ended, and the others as one. */
function depthsOf(stats: readonly QueueStats[], now: number): readonly Depth[] {
  const open = stats.filter((queue) => openJobs(queue) > 0)
  return boundedQueues(open, openJobs)
    .map(({ queue, counts, oldestReadyAt }): Depth => {
      const { ready = 0, scheduled = 0, blocked = 0, running = 0 } = counts
      const oldestMs = oldestReadyAt === null ? 0 : Math.max(0, now - oldestReadyAt)
      return { queue, ready, scheduled, blocked, running, oldestMs }
    })
    .toSorted((a, b) => openOf(b) - openOf(a))
}

function openJobs({ counts }: QueueStats): number {
  const { ready = 0, scheduled = 0, blocked = 0, running = 0 } = counts
  return openOf({ ready, scheduled, blocked, running })
}

function openOf({
  ready,
  scheduled,
  blocked,
  running,
}: Pick<Depth, 'ready' | 'scheduled' | 'blocked' | 'running'>): number {
  return ready + scheduled + blocked + running
}
