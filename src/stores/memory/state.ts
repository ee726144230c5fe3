/**
 * What a memory store holds, and the one way in which a job changes its state.
 *
 * `jobs` is the truth. Everything else is filed from it: `move` takes a job out of all files, changes it, and
 * files it anew, so that no file can disagree with a job's state.
 */
import type { Counters, JobState, LogLine } from '../../core/job.ts'
import type { LockRow } from '../lock-row.ts'
import type { Keep, Need, NeededJob, StoredJob, UniqueRule } from '../../store/job.ts'
import type { RegisteredTask, WorkerRecord } from '../../store/registry.ts'
import { Heap } from './heap.ts'
import { HintBoard } from '../hint-board.ts'
import { rekey, type HeldKey } from './uniques.ts'

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

/** A job with all that the store must remember about it. */
export interface Row extends Mutable<Omit<StoredJob, 'uniqueKey' | 'counters' | 'attempts'>> {
  counters: Counters
  attempts: readonly string[]
  /** Rank by insertion: the last word on order in a queue, and the order of lists. */
  readonly sequence: number
  /** Where it stands in its queue, within its priority. */
  place: number
  startWithinMs: number | null
  deadlineMs: number | null
  keepCancelledMs: Keep
  /** How much before its due time it stands in its queue. */
  headStartMs: number
  unique: UniqueRule | null
  /** The unique key is held at least until then. */
  keyUntil: number
  /** Needs that are not met yet, by id. */
  readonly unmet: Map<string, Need['onFailed']>
  /** Its needs with `output`. */
  readonly wants: Want[]
  /** Was lost: claimed alone, with its start written. */
  suspect: boolean
  /** Is leased because it waited too long, not to be run. */
  overdue: boolean
  /** The token under which it was inserted as running; 0 when it was not. */
  readonly bornToken: number
  /** The token of the last settlement that was accepted; 0 when there is none. */
  settledToken: number
  /** Why someone asked the running job to end. */
  cancelReason: string | null
  readonly logs: LogLine[]
  /** Durable records of its runs, by name. */
  readonly recorded: Map<string, string>
}

/** A need of which the end is kept. */
interface Want {
  readonly id: string
  readonly onFailed: Need['onFailed']
  readonly isHanded: boolean
}

/** The ready jobs of a queue. */
export interface Queue {
  readonly ready: Heap<Row>
  readonly suspects: Set<Row>
}

/** The data of a memory store; stores that share one are clients of the same data. */
export class MemoryDatabase {
  readonly locks: Map<string, LockRow> = new Map()
  readonly records: Map<string, string> = new Map()
  readonly jobs: Map<string, Row> = new Map()
  /** Queues that have ready jobs. */
  readonly queues: Map<string, Queue> = new Map()
  readonly paused: Set<string> = new Set()
  readonly scheduled: Heap<Row> = new Heap((a, b) => a.dueAt - b.dueAt || a.sequence - b.sequence)
  readonly running: Set<Row> = new Set()
  /** Waiting jobs with a `startBy` or `deadlineAt`. */
  readonly bounded: Set<Row> = new Set()
  /** Finished jobs, in the order in which they ended. */
  readonly finished: Set<Row> = new Set()
  readonly expiring: Heap<Row> = new Heap(
    (a, b) => (a.expiresAt ?? 0) - (b.expiresAt ?? 0) || a.sequence - b.sequence,
  )
  /** Jobs by the needs that they still wait for. */
  readonly dependants: Map<string, Set<Row>> = new Map()
  /** How needed jobs ended, by group of those that wanted to know, then by id. */
  readonly outputs: Map<string, Map<string, NeededJob>> = new Map()
  readonly keys: Map<string, HeldKey> = new Map()
  readonly workers: Map<string, WorkerRecord> = new Map()
  readonly tasks: Map<string, RegisteredTask> = new Map()
  /** What claims with an id of their own were given, until their leases end. */
  readonly claims: Map<string, { readonly token: number; readonly until: number }> = new Map()
  readonly hints: HintBoard = new HintBoard()
  #token = 0
  #sequence = 0

  /** The next fencing token: no less than the clock's microseconds, as the contract asks. */
  nextToken(now: number): number {
    return (this.#token = Math.max(this.#token + 1, now * 1_000))
  }

  nextSequence(): number {
    return (this.#sequence += 1)
  }
}

/** Order of ready jobs within a queue. */
export function inLine(a: Row, b: Row): number {
  return a.priority - b.priority || a.place - b.place || a.sequence - b.sequence
}

function lineUp(db: MemoryDatabase, row: Row): void {
  let queue = db.queues.get(row.queue)
  if (queue === undefined) {
    queue = { ready: new Heap(inLine), suspects: new Set() }
    db.queues.set(row.queue, queue)
  }
  if (row.suspect) queue.suspects.add(row)
  else queue.ready.add(row)
}

function stepOut(db: MemoryDatabase, row: Row): void {
  const queue = db.queues.get(row.queue)
  if (queue === undefined) return
  queue.ready.delete(row)
  queue.suspects.delete(row)
  if (queue.ready.size + queue.suspects.size === 0) db.queues.delete(row.queue)
}

/** Adds a job in the state that it has. One that enters as failed takes no unique key. */
export function add(db: MemoryDatabase, row: Row, now: number): void {
  db.jobs.set(row.id, row)
  file(db, row)
  if (row.state !== 'failed') rekey(db, row, now)
}

/** Brings a job into a state, with all that changes along with it. */
export function move(
  db: MemoryDatabase,
  row: Row,
  state: JobState,
  change: Partial<Row>,
  now: number,
): void {
  unfile(db, row)
  Object.assign(row, change)
  row.state = state
  file(db, row)
  rekey(db, row, now)
}

/** Removes a job. Its unique key goes too, but for `keepKey` while the key's own time runs. */
export function erase(db: MemoryDatabase, row: Row, keepKey: boolean, now: number): void {
  unfile(db, row)
  db.jobs.delete(row.id)
  const key = row.unique?.key
  if (key === undefined || db.keys.get(key)?.job !== row.id) return
  if (!keepKey || now >= row.keyUntil) db.keys.delete(key)
}

/** How long until the next scheduled job is due; null when there is none. */
export function nextDueMs(db: MemoryDatabase, now: number): number | null {
  const dueAt = db.scheduled.first()?.dueAt
  return dueAt === undefined ? null : Math.max(0, dueAt - now)
}

/** Makes scheduled jobs ready that are due, at most 1,000 in one call. */
export function promote(db: MemoryDatabase, now: number): void {
  for (let count = 0; count < 1_000; count += 1) {
    const row = db.scheduled.first()
    if (row === undefined || row.dueAt > now) return
    move(db, row, 'ready', {}, now)
  }
}

/** Whether a waiting job has waited longer than it may. */
export function isOverdue(row: Row, now: number): boolean {
  return (
    (row.startBy !== null && row.startBy <= now) ||
    (row.deadlineAt !== null && row.deadlineAt <= now)
  )
}

function file(db: MemoryDatabase, row: Row): void {
  switch (row.state) {
    case 'blocked':
      break
    case 'scheduled':
      db.scheduled.add(row)
      db.hints.give('work')
      break
    case 'ready':
      lineUp(db, row)
      db.hints.give('work')
      break
    case 'running':
      db.running.add(row)
      break
    case 'completed':
    case 'failed':
    case 'cancelled':
    case 'discarded':
      db.finished.add(row)
      if (row.expiresAt !== null) db.expiring.add(row)
      db.hints.give('finished')
      return
  }
  if (row.state !== 'running' && (row.startBy !== null || row.deadlineAt !== null))
    db.bounded.add(row)
  for (const need of row.unmet.keys()) {
    const waiting = db.dependants.get(need)
    if (waiting === undefined) db.dependants.set(need, new Set([row]))
    else waiting.add(row)
  }
}

function unfile(db: MemoryDatabase, row: Row): void {
  stepOut(db, row)
  db.scheduled.delete(row)
  db.running.delete(row)
  db.bounded.delete(row)
  db.finished.delete(row)
  db.expiring.delete(row)
  for (const need of row.unmet.keys()) {
    const waiting = db.dependants.get(need)
    waiting?.delete(row)
    if (waiting?.size === 0) db.dependants.delete(need)
  }
}
