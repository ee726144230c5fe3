/** What workers and operators share beside jobs: queues, workers, tasks. */
import type { RegisteredTask, WorkerRecord } from '../../store/registry.ts'
import type { Tended } from '../../store/worker-calls.ts'
import { needsSweep } from './claim.ts'
import { needsPrune } from './operators.ts'
import { nextDueMs, promote, type MemoryDatabase } from './state.ts'

/** Writes a worker's heartbeat and tells it what there is to do. */
export function tend(db: MemoryDatabase, worker: WorkerRecord, now: number): Tended {
  promote(db, now)
  db.workers.set(worker.id, structuredClone({ ...worker, lastSeenAt: now }))
  const serves = (name: string): boolean =>
    !db.paused.has(name) && (worker.queues.includes('*') || worker.queues.includes(name))
  return {
    now,
    paused: [...db.paused],
    nextDueMs: nextDueMs(db, now),
    ready: [...db.queues.keys()].some(serves),
    sweepDue: needsSweep(db, now),
    pruneDue: needsPrune(db, now),
  }
}

export function setPaused(db: MemoryDatabase, names: readonly string[], paused: boolean): void {
  for (const name of names) {
    if (paused) db.paused.add(name)
    else db.paused.delete(name)
  }
  db.hints.give('paused')
  if (!paused) db.hints.give('work')
}

export function workerList(db: MemoryDatabase): WorkerRecord[] {
  return [...db.workers.values()].map((worker) => structuredClone(worker))
}

export function registerTasks(db: MemoryDatabase, tasks: readonly RegisteredTask[]): void {
  for (const task of tasks) db.tasks.set(task.name, structuredClone(task))
}

export function taskList(db: MemoryDatabase): RegisteredTask[] {
  return [...db.tasks.values()].map((task) => structuredClone(task)).sort(byName)
}

function byName(a: { readonly name: string }, b: { readonly name: string }): number {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0
}
