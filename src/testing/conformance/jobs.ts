/** Arguments of store calls with every field filled in; a rule says only what matters to it. */
import { AsyncLocalStorage } from 'node:async_hooks'
import { v7 } from 'uuid'
import { noCounters, type Counters } from '../../core/job.ts'
import type {
  Requeue,
  ClaimRequest,
  RescueRequest,
  Finish,
  LeaseRef,
} from '../../store/worker-calls.ts'
import type { NewJob, UniqueRule } from '../../store/job.ts'
import type { RegisteredTask, WorkerRecord } from '../../store/registry.ts'

/** How long the suite's leases last. */
export const leaseMs = 30_000
export const minute = 60_000
export const hour = 3_600_000

/** Where the ids of a rule's jobs come from, if its harness says so. */
export const idSource: AsyncLocalStorage<() => string> = new AsyncLocalStorage()

export function newJob(over: Partial<NewJob> = {}): NewJob {
  return {
    id: (idSource.getStore() ?? v7)(),
    task: 'task',
    queue: 'queue',
    priority: 0,
    input: '{}',
    codec: null,
    options: null,
    parent: null,
    group: null,
    tags: [],
    headers: {},
    delayMs: 0,
    runAt: null,
    startWithinMs: null,
    deadlineMs: null,
    keepCancelledMs: hour,
    unique: null,
    needs: [],
    entry: null,
    ...over,
  }
}

export function unique(key: string, over: Partial<UniqueRule> = {}): UniqueRule {
  return {
    key,
    during: ['blocked', 'scheduled', 'ready'],
    forMs: null,
    onConflict: 'skip',
    maxWaitMs: null,
    ...over,
  }
}

export function claimOf(over: Partial<ClaimRequest> = {}): ClaimRequest {
  const queues = [{ name: 'queue', limit: 1_000 }]
  return {
    worker: 'worker',
    queues,
    others: 0,
    limit: 1_000,
    leaseMs,
    maxLosses: null,
    id: null,
    ...over,
  }
}

export function rescueOf(over: Partial<RescueRequest> = {}): RescueRequest {
  return { worker: 'sweeper', tasks: ['task'], limit: 100, leaseMs, ...over }
}

export function finish(lease: LeaseRef, over: Partial<Finish> = {}): Finish {
  return {
    kind: 'finish',
    id: lease.id,
    token: lease.token,
    yieldsToCancel: false,
    state: 'completed',
    counters: counted({ attempts: 1 }),
    attempt: null,
    output: null,
    reason: null,
    keepMs: hour,
    startedAgoMs: null,
    followUps: [],
    ...over,
  }
}

export function requeue(lease: LeaseRef, over: Partial<Requeue> = {}): Requeue {
  return {
    kind: 'requeue',
    id: lease.id,
    token: lease.token,
    yieldsToCancel: false,
    counters: noCounters,
    attempt: null,
    delayMs: 0,
    place: 'keep',
    started: false,
    suspect: false,
    followUps: [],
    ...over,
  }
}

export function counted(over: Partial<Counters> = {}): Counters {
  return { ...noCounters, ...over }
}

export function workerOf(over: Partial<WorkerRecord> = {}): WorkerRecord {
  return {
    id: 'worker',
    host: 'host',
    pid: 1,
    version: '1.0.0',
    queues: ['queue'],
    slots: 10,
    running: [],
    startedAt: 0,
    lastSeenAt: 0,
    schedules: null,
    stopped: false,
    ...over,
  }
}

export function taskOf(over: Partial<RegisteredTask> = {}): RegisteredTask {
  return { name: 'task', aliases: [], queue: 'queue', inputSchema: null, options: '{}', ...over }
}
