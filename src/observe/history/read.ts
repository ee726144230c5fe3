/** Reads charts: what all workers wrote, merged. */
import type { Records } from '../../store/records.ts'
import { bucketBoundsMs, type LogHistogram } from '../log-histogram.ts'
import { runOutcomes, runTallies, RunTally } from '../run-tallies.ts'
import {
  depthWriter,
  historyKey,
  historyPrefix,
  mergeRuns,
  readDepths,
  readKey,
  spanMs,
  topTallies,
  type Depth,
  type Span,
} from './format.ts'

/** Which part of the charts. */
export interface HistoryQuery {
  readonly by: Span
  /** By the store's clock, in milliseconds; `to` is not of it. */
  readonly from: number
  readonly to: number
  /** Whether something of a queue is read. Default: all. */
  readonly sees?: (queue: string) => boolean
}

/** Durations, as their number, their sum and points of their distribution. */
export interface Durations {
  readonly count: number
  readonly sumMs: number
  /** Upper bounds of the buckets of a half, nine tenths and 99 hundredths; null where nothing was measured. */
  readonly p50Ms: number | null
  readonly p90Ms: number | null
  readonly p99Ms: number | null
}

/** What came of runs within a minute or hour. */
interface RunTotals {
  readonly ended: Readonly<Partial<Record<(typeof runOutcomes)[number], number>>>
  readonly losses: number
  /** From due to started, of first attempts. */
  readonly wait: Durations
  readonly run: Durations
}

/** The runs of a queue and task. */
export interface RunStats extends RunTotals {
  readonly queue: string
  readonly task: string
}

/** One minute or hour: what ended in it, and how the queues stood. */
export interface HistoryPoint {
  /** Its begin, in milliseconds. */
  readonly at: number
  readonly runs: readonly RunStats[]
  /** All of these together; points of a distribution are those of all runs, which no sum or mean of `runs` gives. */
  readonly all: RunTotals
  readonly queues: readonly Depth[]
}

const pageSize = 500

/** Reads the minutes or hours of a time, oldest first; those of which nothing was written are left out. */
export async function readHistory(
  store: Pick<Records, 'listRecords'>,
  { by, from, to, sees = () => true }: HistoryQuery,
): Promise<readonly HistoryPoint[]> {
  const first = Math.max(0, Math.floor(from / spanMs[by]))
  const points: HistoryPoint[] = []
  let gathered: Gathered | null = null
  // Just before the first key of the time.
  let after: string | null = historyKey(by, first, '')
  for (;;) {
    const page = await store.listRecords({ prefix: historyPrefix(by), after, limit: pageSize })
    for (const { key, text } of page) {
      const read = readKey(by, key)
      if (read === null) continue
      if (read.n * spanMs[by] >= to) return finished(points, gathered)
      if (gathered?.n !== read.n) {
        if (gathered !== null) points.push(pointOf(gathered))
        gathered = gather(by, read.n)
      }
      if (read.writer === depthWriter)
        gathered.queues = readDepths(text).filter(({ queue }) => sees(queue))
      else {
        const { tallies } = gathered
        mergeRuns(text, (queue, task) => (sees(queue) ? tallies.of(queue, task) : null))
      }
    }
    if (page.length < pageSize) return finished(points, gathered)
    after = page.at(-1)?.key ?? null
  }
}

interface Gathered {
  readonly n: number
  readonly at: number
  readonly tallies: ReturnType<typeof runTallies>
  queues: readonly Depth[]
}

function gather(by: Span, n: number): Gathered {
  return { n, at: n * spanMs[by], tallies: runTallies(10_000), queues: [] }
}

function finished(points: readonly HistoryPoint[], last: Gathered | null): readonly HistoryPoint[] {
  return last === null ? points : [...points, pointOf(last)]
}

function pointOf({ at, tallies, queues }: Gathered): HistoryPoint {
  const all = new RunTally()
  for (const [, , tally] of tallies.entries()) all.merge(tally)
  const runs = [...topTallies(tallies).entries()].map(([queue, task, tally]): RunStats => ({
    queue,
    task,
    ...totals(tally),
  }))
  return { at, runs, all: totals(all), queues }
}

function totals({ ended: counts, wait, duration, losses }: RunTally): RunTotals {
  const ended = Object.fromEntries(
    runOutcomes.flatMap((outcome, n) => {
      const count = counts[n] ?? 0
      return count === 0 ? [] : [[outcome, count]]
    }),
  )
  return { ended, losses, wait: durations(wait), run: durations(duration) }
}

function durations(histogram: LogHistogram): Durations {
  const { count, sumMs } = histogram
  const at = (part: number): number | null => quantile(histogram.buckets, count, part)
  return { count, sumMs, p50Ms: at(0.5), p90Ms: at(0.9), p99Ms: at(0.99) }
}

function quantile(buckets: readonly number[], count: number, part: number): number | null {
  if (count === 0) return null
  let seen = 0
  for (const [n, inBucket] of buckets.entries()) {
    seen += inBucket
    if (seen >= part * count) return bucketBoundsMs[n] ?? 2 * (bucketBoundsMs.at(-1) ?? 0)
  }
  return null
}
