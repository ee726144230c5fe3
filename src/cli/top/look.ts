/** What `errand top` shows: one look at the store, and what follows from two. */
import type { JobRecord } from '../../client/job-record.ts'
import type { WorkerInfo } from '../../client/workers.ts'
import type { QueueStats } from '../../store/readers.ts'
import type { Errand } from '../../errand.ts'

/** One look. */
export interface Look {
  readonly at: number
  readonly queues: readonly QueueStats[]
  readonly paused: ReadonlySet<string>
  readonly workers: readonly WorkerInfo[]
  readonly running: readonly JobRecord[]
  readonly failed: readonly JobRecord[]
}

/** A queue as it is shown. */
export interface QueueRow {
  readonly name: string
  readonly paused: boolean
  readonly ready: number
  readonly running: number
  readonly scheduled: number
  readonly blocked: number
  readonly failed: number
  /** Jobs that ended, each second; null before a second look. */
  readonly rate: number | null
  readonly oldestMs: number | null
}

/** Jobs of each kind that a look reads. */
const shown = 100

/** Looks at the store. Rejects when it does not answer. */
export async function look(errand: Errand): Promise<Look> {
  const [stats, queues, workers, running, failed] = await Promise.all([
    errand.stats(),
    errand.store.queues(),
    errand.workers.list(),
    errand.jobs.list({ state: 'running', limit: shown }),
    errand.jobs.list({ state: 'failed', limit: shown }),
  ])
  return {
    at: stats.at.getTime(),
    queues: stats.queues,
    paused: new Set(queues.filter(({ paused }) => paused).map(({ name }) => name)),
    workers: workers.filter(({ slots }) => slots > 0),
    running: running.jobs,
    failed: failed.jobs,
  }
}

/** The queues of the last of some looks, with rates since the first. */
export function queueRows(looks: readonly Look[]): readonly QueueRow[] {
  const first = looks.at(0)
  const last = looks.at(-1)
  if (first === undefined || last === undefined) return []
  const seconds = (last.at - first.at) / 1_000
  const before = new Map(first.queues.map((one) => [one.queue, endedOf(one)]))
  const names = new Set([...last.queues.map(({ queue }) => queue), ...last.paused])
  const byName = new Map(last.queues.map((one) => [one.queue, one]))
  return [...names].toSorted().map((name) => {
    const stats = byName.get(name)
    const { ready = 0, running = 0, scheduled = 0, blocked = 0, failed = 0 } = stats?.counts ?? {}
    const ended = stats === undefined ? 0 : endedOf(stats)
    // Pruning takes some away: that is no rate.
    const more = Math.max(0, ended - (before.get(name) ?? 0))
    const oldestAt = stats?.oldestReadyAt ?? null
    return {
      name,
      paused: last.paused.has(name),
      ready,
      running,
      scheduled,
      blocked,
      failed,
      rate: seconds > 0 ? more / seconds : null,
      oldestMs: oldestAt === null ? null : Math.max(0, last.at - oldestAt),
    }
  })
}

function endedOf({ counts }: QueueStats): number {
  const { completed = 0, failed = 0, cancelled = 0, discarded = 0 } = counts
  return completed + failed + cancelled + discarded
}
