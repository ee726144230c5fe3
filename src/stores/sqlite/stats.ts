/** How each queue stands. */
import type { QueueStats } from '../../store/readers.ts'
import { statsOf } from '../queues.ts'
import { nearestTime } from '../unreadable.ts'
import type { Connection } from './connection.ts'
import { counts } from './readers.ts'
import type { StoredTime } from './rows.ts'

/** The two lines in which ready jobs stand. */
const lines = ['errand_ready', 'errand_suspects'].map((table) => ({
  /** The next priority in a queue: one step in the primary key. */
  nextPriority: `SELECT min(priority) FROM ${table} WHERE queue = ? AND priority > ?`,
  /**
   * The next jobs of a priority, in the order of their places: a range of the primary key, then
   * rowids.
   */
  next: `SELECT r.place, r.seq, j.due_at FROM ${table} r CROSS JOIN errand_jobs j ON j.seq = r.seq
    WHERE r.queue = ? AND r.priority = ? AND (r.place, r.seq) > (?, ?) ORDER BY r.place, r.seq LIMIT 20`,
}))

type Line = (typeof lines)[number]

/** The most pages of a line that are looked at for each priority. */
const mostPages = 50
const beforeAll: StoredTime = -(2n ** 63n)

export function stats(connection: Connection): QueueStats[] {
  return statsOf(counts(connection), (queue) => {
    const dues = lines.flatMap((line) => duesOf(connection, line, queue))
    return dues.length === 0 ? null : Math.min(...dues)
  })
}

/** When the oldest job of each priority was due. */
function duesOf(connection: Connection, line: Line, queue: string): number[] {
  const dues: number[] = []
  for (let priority: StoredTime = beforeAll; ;) {
    const next = connection.row(line.nextPriority, queue, priority)?.[0]
    if (typeof next !== 'number' && typeof next !== 'bigint') return dues
    priority = next
    dues.push(oldestOf(connection, line, queue, priority))
  }
}

/**
 * A job's place is mostly no later than when it was due, so none that stands behind the oldest due
 * time found can be older. Most often the first job is the one. Three kinds of lines may have an
 * older job than is found: one in which it stands behind its due time, for its priority where
 * waiting counts; one in which 1,000 jobs with old places, such as those that workers gave back,
 * stand before it; and one in which it was blocked for longer than it was scheduled, for which its
 * place is when it became ready.
 */
function oldestOf(connection: Connection, line: Line, queue: string, priority: StoredTime): number {
  let oldest = Infinity
  let after: readonly [StoredTime, StoredTime] = [beforeAll, beforeAll]
  for (let page = 0; page < mostPages; page += 1) {
    const rows = connection.rows(line.next, queue, priority, ...after)
    for (const [, , dueAt] of rows) oldest = Math.min(oldest, nearestTime(dueAt))
    const last = rows.at(-1) as readonly [StoredTime, StoredTime] | undefined
    if (last === undefined || last[0] >= oldest) break
    after = [last[0], last[1]]
  }
  return oldest
}
