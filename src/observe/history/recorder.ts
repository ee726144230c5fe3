/**
 * Gathers how runs end, by the minute and by the hour, and says what to write of it.
 *
 * A record that was written is never written with less: when the store's time goes back, what
 * follows is of another writer's name, and merged when it is read.
 */
import type { RecordWrite } from '../../store/records.ts'
import type { BoundedNames } from '../bounded-names.ts'
import type { EventHub } from '../events.ts'
import { runTallies, type RunTally } from '../run-tallies.ts'
import { historyKey, spanMs, writeRuns, type Span } from './format.ts'

/** Pairs of queue and task counted apart within a minute; the top of them are written by name. */
const mostPairs = 1_000

/** Minutes that wait for a store that is away; beyond it the oldest are dropped. */
const mostWaiting = 60

/** The hour is written less often than its minutes. */
const hourEveryMs = 300_000

interface Bucket {
  readonly n: number
  readonly writer: string
  readonly tallies: BoundedNames<RunTally>
}

export class HistoryRecorder {
  readonly #worker: string
  readonly #now: () => number
  #stops: readonly (() => void)[] = []
  #turn = 0
  #minute: Bucket | null = null
  #hour: Bucket | null = null
  /** Ended minutes and hours that are not written yet, by their keys. */
  readonly #waiting = new Map<string, string>()
  #isChanged = false
  #hourWrittenAt = -Infinity

  /** `now` is the store's time. */
  constructor(worker: string, now: () => number) {
    this.#worker = worker
    this.#now = now
  }

  /** Begins to listen. */
  start(events: Pick<EventHub, 'on'>): void {
    this.#stops = [
      events.on('run-ended', (run) => this.#at(run.queue, run.task).add(run)),
      events.on('job-rescued', ({ queue, task, why }) => {
        if (why === 'lost') this.#at(queue, task).losses++
      }),
    ]
  }

  /** Whether anything came of runs since the last writes. */
  get isChanged(): boolean {
    return this.#isChanged || this.#waiting.size > 0
  }

  stop(): void {
    for (const stop of this.#stops) stop()
  }

  /** What to write `now`, or at `the-end`: then the hour as well, whenever it was written before. */
  writes(at: 'now' | 'the-end'): readonly RecordWrite[] {
    const now = this.#now()
    this.#turnTo(now)
    if (this.#isChanged && this.#minute !== null) this.#keep('minute', this.#minute)
    if (this.#hour !== null && (at === 'the-end' || now - this.#hourWrittenAt >= hourEveryMs)) {
      this.#keep('hour', wholeHour(this.#hour, this.#minute))
      this.#hourWrittenAt = now
    }
    this.#isChanged = false
    return [...this.#waiting].map(([key, text]) => ({ key, text }))
  }

  /** The store has taken writes. */
  written(writes: readonly RecordWrite[]): void {
    for (const { key, text } of writes)
      if (this.#waiting.get(key) === text) this.#waiting.delete(key)
  }

  #at(queue: string, task: string): RunTally {
    this.#isChanged = true
    return this.#turnTo(this.#now()).tallies.of(queue, task)
  }

  /** The minute of a time; ends the one before. */
  #turnTo(now: number): Bucket {
    const n = Math.floor(now / spanMs.minute)
    if (this.#minute?.n === n) return this.#minute
    const ended = this.#minute
    if (ended !== null) {
      if (this.#isChanged) this.#keep('minute', ended)
      this.#hour = wholeHour(this.#hour ?? this.#bucket(hourOf(ended)), ended)
      if (n < ended.n) this.#turn++
    }
    const hour = Math.floor(now / spanMs.hour)
    if (this.#hour !== null && (this.#hour.n !== hour || (ended !== null && n < ended.n))) {
      this.#keep('hour', this.#hour)
      this.#hour = null
    }
    this.#hour ??= this.#bucket(hour)
    this.#minute = this.#bucket(n)
    return this.#minute
  }

  #bucket(n: number): Bucket {
    const writer = this.#turn === 0 ? this.#worker : `${this.#worker}.${this.#turn}`
    return { n, writer, tallies: runTallies(mostPairs) }
  }

  #keep(span: Span, { n, writer, tallies }: Bucket): void {
    const key = historyKey(span, n, writer)
    this.#waiting.delete(key)
    if ([...tallies.entries()].length > 0) this.#waiting.set(key, writeRuns(tallies))
    for (const oldest of this.#waiting.keys()) {
      if (this.#waiting.size <= mostWaiting) break
      this.#waiting.delete(oldest)
    }
  }
}

function hourOf({ n }: Bucket): number {
  return Math.floor((n * spanMs.minute) / spanMs.hour)
}

/** An hour with a minute of it added. */
function wholeHour(hour: Bucket, minute: Bucket | null): Bucket {
  const tallies = runTallies(mostPairs)
  for (const from of [hour, minute]) {
    if (from === null) continue
    for (const [queue, task, tally] of from.tallies.entries()) tallies.of(queue, task).merge(tally)
  }
  return { ...hour, tallies }
}
