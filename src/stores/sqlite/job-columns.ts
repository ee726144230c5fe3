/**
 * The columns of `errand_jobs`: the table, what an insert and a replacement write into it, and what readers of any kind make of it.
 * A field that is given with a job is added here, and nowhere else in this store.
 */
import { smallInputBytes } from '../../core/job.ts'
import type { KnownJob, NewJob } from '../../store/job.ts'
import { packLabels, readLabels } from '../labels.ts'
import type { Clocks } from './clocks.ts'
import type { Row, Value } from './connection.ts'
import { packStates } from './states.ts'
import type { Transaction } from './transaction.ts'

/** The payload comes last, so that no other column lies behind its overflow pages. */
export const jobsTable = `CREATE TABLE errand_jobs (
     seq INTEGER PRIMARY KEY,
     id TEXT NOT NULL UNIQUE,
     task TEXT NOT NULL,
     queue TEXT NOT NULL,
     priority INTEGER NOT NULL,
     created_at INTEGER NOT NULL,
     due_at INTEGER NOT NULL,
     place INTEGER NOT NULL,
     parent TEXT,
     group_id TEXT,
     start_by INTEGER,
     deadline_at INTEGER,
     start_within_ms INTEGER,
     deadline_ms INTEGER,
     keep_cancelled_ms INTEGER,
     unique_key TEXT,
     unique_during INTEGER,
     unique_until INTEGER,
     suspect INTEGER NOT NULL DEFAULT 0,
     token INTEGER NOT NULL DEFAULT 0,
     worker TEXT,
     counters NUMERIC,
     codec TEXT,
     labels TEXT,
     attempts TEXT,
     options TEXT,
     input TEXT NOT NULL
   );
   CREATE INDEX errand_jobs_parent ON errand_jobs (parent) WHERE parent IS NOT NULL;
   CREATE INDEX errand_jobs_group ON errand_jobs (group_id) WHERE group_id IS NOT NULL;
   CREATE INDEX errand_jobs_large ON errand_jobs (queue) WHERE octet_length(input) > ${smallInputBytes};
   CREATE INDEX errand_jobs_key ON errand_jobs (unique_key) WHERE unique_key IS NOT NULL;`

/** A column that an insert writes, with what it holds. */
type Column = readonly [name: string, valueOf: (job: NewJob, clocks: Clocks) => Value]

/** What every insert writes. */
const common: readonly Column[] = [
  ['id', (job) => job.id],
  ['task', (job) => job.task],
  ['queue', (job) => job.queue],
  ['priority', (job) => job.priority],
  ['created_at', (_, clocks) => clocks.now],
  ['due_at', (_, clocks) => clocks.dueAt],
  ['place', (_, clocks) => clocks.dueAt],
  ['parent', (job) => job.parent],
  ['keep_cancelled_ms', (job) => job.keepCancelledMs],
  ['codec', (job) => job.codec],
  ['options', (job) => job.options],
  ['input', (job) => job.input],
]

/** What is null in an ordinary job, whose insert does without. */
const rare: readonly Column[] = [
  ['group_id', (job) => job.group],
  ['labels', packLabels],
  ['start_by', (_, clocks) => clocks.startBy],
  ['deadline_at', (_, clocks) => clocks.deadlineAt],
  ['start_within_ms', (job) => job.startWithinMs],
  ['deadline_ms', (job) => job.deadlineMs],
  ['unique_key', (job) => job.unique?.key ?? null],
  ['unique_during', ({ unique }) => (unique === null ? null : packStates(unique.during))],
  ['unique_until', (job, clocks) => (job.unique === null ? null : clocks.keyUntil)],
  ['attempts', firstAttempts],
]

/** What a waiting job keeps when another gives it new work. Its place is for the caller to say. */
const kept: readonly string[] = ['id', 'task', 'created_at', 'place', 'parent', 'attempts']

const all = [...common, ...rare]
const replaced = all.filter(([name]) => !kept.includes(name))

/** Adds one row. Checks and extends the unique index of ids, and the partial indexes that have the job. */
const ADD_PLAIN = insertOf(common)
const ADD_FULL = insertOf(all)
/** Rewrites one row: walks to its rowid. */
const REPLACE = `UPDATE errand_jobs SET counters = NULL, suspect = 0, place = ?,
  ${replaced.map(([name]) => `${name} = ?`).join(', ')} WHERE seq = ?`

/** Writes the row of a new job and returns its rowid, or null when the id is known already. */
export function addJob(tx: Transaction, job: NewJob, clocks: Clocks): number | null {
  const isPlain = rare.every(([, valueOf]) => valueOf(job, clocks) === null)
  const columns = isPlain ? common : all
  const statement = tx.connection.statement(isPlain ? ADD_PLAIN : ADD_FULL)
  const result = statement.run(...valuesOf(columns, job, clocks))
  return result.changes === 0 ? null : (result.lastInsertRowid as number)
}

/** Gives the row of a waiting job what the new one brings, and fresh counters. */
export function replaceJob(
  tx: Transaction,
  seq: number,
  job: NewJob,
  clocks: Clocks,
  place: Value,
): void {
  tx.run(REPLACE, place, ...valuesOf(replaced, job, clocks), seq)
}

function insertOf(columns: readonly Column[]): string {
  const names = columns.map(([name]) => name).join(', ')
  const marks = columns.map(() => '?').join(', ')
  return `INSERT INTO errand_jobs (${names}) VALUES (${marks}) ON CONFLICT (id) DO NOTHING`
}

function valuesOf(columns: readonly Column[], job: NewJob, clocks: Clocks): Value[] {
  return columns.map(([, valueOf]) => valueOf(job, clocks))
}

/** The attempts that a job enters with: one, if it enters as failed. */
function firstAttempts({ entry }: NewJob): string | null {
  return entry?.kind === 'failed' && entry.attempt !== null ? JSON.stringify([entry.attempt]) : null
}

/** The columns of a job that `readKnown` reads, the first of any statement that it reads rows of; `j` is `errand_jobs`. */
export const knownColumns = `j.id, j.task, j.queue, j.priority, j.input, j.codec, j.options, j.parent, j.group_id, j.labels,
  j.unique_key, j.created_at, j.due_at, j.start_by, j.deadline_at`

/** How many `knownColumns` are, and where those are that are also read raw. */
export const knownWidth = 15
export const knownAt = { id: 0, priority: 3, uniqueKey: 10, startBy: 13, deadlineAt: 14 } as const

/** What the tables of a job's state say about it. */
type Run = Pick<KnownJob, 'counters' | 'token' | 'startedAt' | 'cancelAsked'>

/** Reads a row that begins with `knownColumns`. */
export function readKnown(row: Row, run: Run): KnownJob {
  const { tags, headers } = readLabels(row[9] as string | null)
  return {
    id: row[0] as string,
    task: row[1] as string,
    queue: row[2] as string,
    priority: row[3] as number,
    input: row[4] as string,
    codec: row[5] as string | null,
    options: row[6] as string | null,
    parent: row[7] as string | null,
    group: row[8] as string | null,
    tags,
    headers,
    uniqueKey: row[10] as string | null,
    createdAt: row[11] as number,
    dueAt: row[12] as number,
    startBy: row[13] as number | null,
    deadlineAt: row[14] as number | null,
    counters: run.counters,
    token: run.token,
    startedAt: run.startedAt,
    cancelAsked: run.cancelAsked,
  }
}
