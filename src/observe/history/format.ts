/**
 * How charts are stored: one record for each worker and minute, and one for each worker and
 * hour, whose rows are of a queue and a task. A record is written whole and replaces what it was, so
 * that a repeat changes nothing; what several workers wrote is merged when it is read.
 *
 * A second kind of record holds the counts of the queues at a minute; the first process there writes it.
 */
import { mostNames, otherName } from '../bounded-names.ts'
import type { BoundedNames } from '../bounded-names.ts'
import { runTallies, RunTally } from '../run-tallies.ts'

export type Span = 'minute' | 'hour'

export const spanMs: Readonly<Record<Span, number>> = { minute: 60_000, hour: 3_600_000 }

/** How long charts are kept: two days by the minute, a month by the hour. */
export const keptMs: Readonly<Record<Span, number>> = {
  minute: 2 * 24 * 3_600_000,
  hour: 31 * 24 * 3_600_000,
}

/** Who writes how the queues stood. */
export const depthWriter = 'queues'

const version = 1
const digits = 10

/** Where the records of a span begin. */
export function historyPrefix(span: Span): string {
  return `history/${span}/`
}

/** The key of a record; keys are in the order of time. */
export function historyKey(span: Span, n: number, writer: string): string {
  return `${historyPrefix(span)}${String(n).padStart(digits, '0')}/${writer}`
}

/** The number of the span that a key is of, and who wrote it; null for a key of another kind. */
export function readKey(span: Span, key: string): { n: number; writer: string } | null {
  const prefix = historyPrefix(span)
  const [digitsOf = '', writer] = key.slice(prefix.length).split('/')
  if (!key.startsWith(prefix) || !/^\d+$/.test(digitsOf) || writer === undefined) return null
  return { n: Number(digitsOf), writer }
}

/** The names with most runs, each for itself, and the rest as one. */
export function topTallies(tallies: BoundedNames<RunTally>): BoundedNames<RunTally> {
  const all = [...tallies.entries()].toSorted(([, , a], [, , b]) => b.runs - a.runs)
  const top = runTallies(mostNames + 1)
  for (const [n, [queue, task, tally]] of all.entries()) {
    const isNamed = n < mostNames
    top.of(isNamed ? queue : otherName, isNamed ? task : otherName).merge(tally)
  }
  return top
}

type Row = readonly [
  queue: string,
  task: string,
  ended: readonly number[],
  waitMs: number,
  waits: readonly number[],
  durationMs: number,
  durations: readonly number[],
  losses: number,
]

/** The text of a record of runs. */
export function writeRuns(tallies: BoundedNames<RunTally>): string {
  const rows = [...topTallies(tallies).entries()].map(([queue, task, tally]): Row => {
    const { ended, wait, duration, losses } = tally
    return [
      queue,
      task,
      ended,
      Math.round(wait.sumMs),
      sparse(wait.buckets),
      Math.round(duration.sumMs),
      sparse(duration.buckets),
      losses,
    ]
  })
  return JSON.stringify({ v: version, rows })
}

/** Adds what a record of runs holds, but for rows that have no place; what something else wrote adds nothing. */
export function mergeRuns(
  text: string,
  into: (queue: string, task: string) => RunTally | null,
): void {
  for (const row of rowsOf(text)) {
    const [queue, task, ended, waitMs, waits, durationMs, durations, losses] = row as Row
    if (typeof queue !== 'string' || typeof task !== 'string') continue
    const found = into(queue, task)
    if (found === null) continue
    const tally = new RunTally()
    for (const [n, count] of numbers(ended).entries())
      if (n < tally.ended.length) tally.ended[n] = count
    tally.wait.merge(dense(numbers(waits)), number(waitMs))
    tally.duration.merge(dense(numbers(durations)), number(durationMs))
    tally.losses = number(losses)
    found.merge(tally)
  }
}

/** How one queue stood. */
export interface Depth {
  readonly queue: string
  readonly ready: number
  readonly scheduled: number
  readonly blocked: number
  readonly running: number
  /** For how long the ready job that was due first had been due; 0 when none was ready. */
  readonly oldestMs: number
}

/** The text of a record of depths. */
export function writeDepths(depths: readonly Depth[]): string {
  const rows = depths.map(({ queue, ready, scheduled, blocked, running, oldestMs }) => [
    queue,
    ready,
    scheduled,
    blocked,
    running,
    Math.round(oldestMs),
  ])
  return JSON.stringify({ v: version, rows })
}

/** Reads a record of depths; none for what something else wrote. */
export function readDepths(text: string): readonly Depth[] {
  return rowsOf(text).flatMap((row) => {
    const [queue, ...counts] = row
    if (typeof queue !== 'string') return []
    const [ready = 0, scheduled = 0, blocked = 0, running = 0, oldestMs = 0] = counts.map(number)
    return [{ queue, ready, scheduled, blocked, running, oldestMs }]
  })
}

function rowsOf(text: string): readonly (readonly unknown[])[] {
  try {
    const { v, rows } = JSON.parse(text) as { v?: unknown; rows?: unknown }
    return v === version && Array.isArray(rows) ? rows.filter((row) => Array.isArray(row)) : []
  } catch {
    return []
  }
}

/** Places and counts of the buckets that hold something, one after the other. */
function sparse(buckets: readonly number[]): readonly number[] {
  return [...buckets.entries()].flatMap(([n, count]) => (count === 0 ? [] : [n, count]))
}

function dense(pairs: readonly number[]): readonly number[] {
  const buckets: number[] = []
  for (let n = 0; n + 1 < pairs.length; n += 2) {
    const [at = 0, count = 0] = pairs.slice(n, n + 2)
    if (at < 64) buckets[at] = count
  }
  return buckets
}

function numbers(value: unknown): readonly number[] {
  return Array.isArray(value) ? value.map(number) : []
}

function number(value: unknown): number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : 0
}
