/** What workers and operators share beside jobs: queues, workers, tasks. */
import type { RegisteredTask, Tended, WorkerRecord } from '../../store.ts'
import { needsSweep } from './claims.ts'
import type { Connection } from './connection.ts'
import { nextDueMs, promote } from './lines.ts'
import { needsPrune } from './retention.ts'
import type { Transaction } from './transaction.ts'

const WRITE_WORKER = `INSERT INTO errand_workers (id, last_seen_at, record) VALUES (?, ?, ?)
  ON CONFLICT (id) DO UPDATE SET last_seen_at = excluded.last_seen_at, record = excluded.record`
const HAS_WORK = `SELECT EXISTS (SELECT 1 FROM errand_ready WHERE queue = ?)
  OR EXISTS (SELECT 1 FROM errand_suspects WHERE queue = ?)`
const SET_PAUSED = `INSERT INTO errand_queues (name, paused) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET paused = excluded.paused`
/** Tells watchers in other processes that queues were paused or resumed. */
const SIGNAL_PAUSE = `UPDATE errand_meta SET value = value + 1 WHERE name = 'pauses'`
const QUEUES = `SELECT name, paused FROM errand_queues ORDER BY name`
const WORKERS = `SELECT record, last_seen_at FROM errand_workers ORDER BY id`
const WRITE_TASK = `INSERT OR REPLACE INTO errand_tasks (name, record) VALUES (?, ?)`
const TASKS = `SELECT record FROM errand_tasks ORDER BY name`

/** Writes a worker's heartbeat and tells it what there is to do. */
export function tend(tx: Transaction, worker: WorkerRecord): Tended {
  promote(tx)
  tx.run(WRITE_WORKER, worker.id, tx.now, JSON.stringify(worker))
  const queues = queueList(tx.connection)
  const serves = new Set(worker.queues)
  return {
    now: tx.now,
    paused: queues.filter((queue) => queue.paused).map((queue) => queue.name),
    queues: queues.map((queue) => queue.name),
    nextDueMs: nextDueMs(tx),
    ready: queues.some(
      ({ name, paused }) =>
        !paused && (serves.has('*') || serves.has(name)) && tx.row(HAS_WORK, name, name)?.[0] === 1,
    ),
    sweep: needsSweep(tx),
    prune: needsPrune(tx),
  }
}

export function setPaused(tx: Transaction, queues: readonly string[], paused: boolean): void {
  for (const name of queues) tx.run(SET_PAUSED, name, paused ? 1 : 0)
  tx.run(SIGNAL_PAUSE)
  tx.hints.add('paused')
  if (!paused) tx.hints.add('work')
}

export function queueList(connection: Connection): { name: string; paused: boolean }[] {
  return connection
    .rows(QUEUES)
    .map(([name, paused]) => ({ name: name as string, paused: paused === 1 }))
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
