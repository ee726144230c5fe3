/** What workers and operators share beside jobs: queues, workers, tasks. */
import type { RegisteredTask, WorkerRecord } from '../../store/registry.ts'
import type { Tended } from '../../store/worker-calls.ts'
import { busyQueues, pausedOf, pruneCalls } from './claim.ts'
import type { Connection } from './connection.ts'
import { nextDueMs, promote } from './lines.ts'
import { needsSweep } from './rescue.ts'
import { needsPrune } from './retention.ts'
import type { Transaction } from './transaction.ts'

/** Walks the primary key of errand_workers. */
const WRITE_WORKER = `INSERT INTO errand_workers (id, last_seen_at, record) VALUES (?, ?, ?)
  ON CONFLICT (id) DO UPDATE SET last_seen_at = excluded.last_seen_at, record = excluded.record`
/** One step in each primary key. */
const HAS_WORK = `SELECT EXISTS (SELECT 1 FROM errand_ready WHERE queue = ?)
  OR EXISTS (SELECT 1 FROM errand_suspects WHERE queue = ?)`
/** These two walk the primary key of errand_paused. */
const PAUSE = `INSERT INTO errand_paused (queue) VALUES (?) ON CONFLICT (queue) DO NOTHING`
const RESUME = `DELETE FROM errand_paused WHERE queue = ?`
/** Forgets queues that hold no more jobs of a state. Scans errand_tally, which this keeps small. */
const DROP_ZEROS = `DELETE FROM errand_tally WHERE count = 0`
/** For watchers in other processes: one step in the primary key of errand_meta. */
const SIGNAL_PAUSE = `UPDATE errand_meta SET value = value + 1 WHERE name = 'pauses'`
/** Walks all of a primary key, here and below. */
const WORKERS = `SELECT record, last_seen_at FROM errand_workers ORDER BY id`
/** Walks the primary key of errand_tasks. */
const WRITE_TASK = `INSERT OR REPLACE INTO errand_tasks (name, record) VALUES (?, ?)`
const TASKS = `SELECT record FROM errand_tasks ORDER BY name`

/** Writes a worker's heartbeat and tells it what there is to do. */
export function tend(tx: Transaction, worker: WorkerRecord): Tended {
  promote(tx)
  tx.run(WRITE_WORKER, worker.id, tx.now, JSON.stringify(worker))
  tx.run(DROP_ZEROS)
  pruneCalls(tx)
  const paused = pausedOf(tx.connection)
  const isPaused = new Set(paused)
  return {
    now: tx.now,
    paused,
    nextDueMs: nextDueMs(tx),
    ready: hasWork(tx, worker.queues, isPaused),
    sweepDue: needsSweep(tx),
    pruneDue: needsPrune(tx),
  }
}

/** Whether one of the queues that are served has ready jobs, and is not paused. */
function hasWork(tx: Transaction, served: readonly string[], paused: ReadonlySet<string>): boolean {
  if (served.includes('*')) {
    for (const queue of busyQueues(tx)) if (!paused.has(queue)) return true
    return false
  }
  return served.some((queue) => !paused.has(queue) && tx.row(HAS_WORK, queue, queue)?.[0] === 1)
}

export function setPaused(tx: Transaction, queues: readonly string[], paused: boolean): void {
  for (const queue of queues) tx.run(paused ? PAUSE : RESUME, queue)
  tx.run(SIGNAL_PAUSE)
  tx.hints.add('paused')
  if (!paused) tx.hints.add('work')
}

export function workerList(connection: Connection): WorkerRecord[] {
  return connection.rows(WORKERS).map(([record, lastSeenAt]) => ({
    ...(JSON.parse(record as string) as WorkerRecord),
    lastSeenAt: lastSeenAt as number,
  }))
}

export function registerTasks(tx: Transaction, tasks: readonly RegisteredTask[]): void {
  for (const task of tasks) tx.run(WRITE_TASK, task.name, JSON.stringify(task))
}

export function taskList(connection: Connection): RegisteredTask[] {
  return connection.rows(TASKS).map(([record]) => JSON.parse(record as string) as RegisteredTask)
}
