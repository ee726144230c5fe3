/** How the queues stand, and what came of their jobs, for charts and alarms. */
import { ErrandError } from '../core/errors.ts'
import { refuseUnknownKeys } from '../core/option-keys.ts'
import { readChoice, readList, refuseValue } from '../core/read.ts'
import { keptMs, spanMs, type Span } from '../observe/history/format.ts'
import { readHistory, type HistoryPoint } from '../observe/history/read.ts'
import type { QueueStats } from '../store/readers.ts'
import type { Client } from './client.ts'

/** Which charts to read. */
export interface StatsOptions {
  /** Points by the minute, kept for two days, or by the hour, kept for a month. Left out, none are read. */
  readonly by?: Span
  /** Default: 60 minutes or 48 hours before `to`. */
  readonly from?: Date
  /** Default: now. */
  readonly to?: Date
  /** Of these queues only. Default: all. */
  readonly queues?: readonly string[]
}

export interface Stats {
  /** The store's time. */
  readonly at: Date
  readonly queues: readonly QueueStats[]
  /** Oldest first; empty without `by`. Minutes of which nothing was written are left out. */
  readonly history: readonly HistoryPoint[]
}

/** Points that are read where `from` is left out. */
const usualPoints: Readonly<Record<Span, number>> = { minute: 60, hour: 48 }

/** Reads statistics. Throws `invalid-option` for what is out of bounds. */
export async function readStats(client: Client, options: StatsOptions = {}): Promise<Stats> {
  refuseUnknownKeys(options, ['by', 'from', 'to', 'queues'], 'stats()')
  const sees = readQueues(options.queues)
  const { clock } = client.app.store
  const query = readQuery(options, clock.now())
  const [queues, history] = await client.call((store) =>
    Promise.all([store.stats(), query === null ? [] : readHistory(store, { ...query, sees })]),
  )
  return { at: new Date(clock.now()), queues: queues.filter(({ queue }) => sees(queue)), history }
}

function readQuery(
  { by, from, to }: StatsOptions,
  now: number,
): { readonly by: Span; readonly from: number; readonly to: number } | null {
  if (by === undefined) {
    if (from === undefined && to === undefined) return null
    throw new ErrandError('invalid-option', "stats() with a time needs by: 'minute' or 'hour'.")
  }
  readChoice(by, ['minute', 'hour'], 'stats().by')
  const end = readDate(to, 'stats().to') ?? now
  const begin = readDate(from, 'stats().from') ?? end - usualPoints[by] * spanMs[by]
  // What is older is not kept, so that a call reads no more than that.
  return { by, from: Math.max(begin, now - keptMs[by]), to: end }
}

function readQueues(queues: StatsOptions['queues']): (queue: string) => boolean {
  if (queues === undefined) return () => true
  const names = new Set(readList(queues, 'stats().queues', 'names of queues'))
  return (queue) => names.has(queue)
}

function readDate(date: Date | undefined, where: string): number | null {
  if (date === undefined) return null
  if (date instanceof Date && Number.isFinite(date.getTime())) return date.getTime()
  return refuseValue(where, 'a valid Date', date)
}
