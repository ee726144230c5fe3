/**
 * The columns of `errand_jobs`: the table, what an insert and a replacement write into it, and what
 * readers of any kind make of it. A field that is given with a job is added here, and nowhere else
 * in this store.
 */
import { smallInputBytes } from '../../core/job.ts'
import type { KnownJob, NewJob } from '../../store/job.ts'
import { packLabels, readLabels } from '../labels.ts'
import type { Clocks } from './clocks.ts'
import type { Row, Value } from './connection.ts'
import { packStates } from '../state-codes.ts'
import type { Transaction } from './transaction.ts'

/** The payload comes last, so that no other column lies behind its overflow pages. */
export const jobsTable: string = `CREATE TABLE errand_jobs (
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
     head_start_ms INTEGER,
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

/**
 * What every insert writes: first what a job keeps when another gives it new work, then what that
 * other brings.
 */
const common = {
  kept: ['id', 'task', 'created_at', 'parent', 'place'],
  brought: ['queue', 'priority', 'due_at', 'keep_cancelled_ms', 'codec', 'options', 'input'],
  valuesOf: (job: NewJob, { now, dueAt }: Clocks): Value[] => [
    job.id,
    job.task,
    now,
    job.parent,
    dueAt - (job.headStartMs ?? 0),
    job.queue,
    job.priority,
    dueAt,
    job.keepCancelledMs,
    job.codec,
    job.options,
    job.input,
  ],
}

/** What is null in an ordinary job, whose insert does without, and is brought. */
const rare = {
  columns: [
    'group_id',
    'labels',
    'start_by',
    'deadline_at',
    'start_within_ms',
    'deadline_ms',
    'unique_key',
    'unique_during',
    'unique_until',
    'head_start_ms',
  ],
  valuesOf: (job: NewJob, { startBy, deadlineAt, keyUntil }: Clocks): Value[] => [
    job.group,
    packLabels(job),
    startBy,
    deadlineAt,
    job.startWithinMs,
    job.deadlineMs,
    job.unique === null ? null : job.unique.key,
    job.unique === null ? null : packStates(job.unique.during),
    job.unique === null ? null : keyUntil,
    (job.headStartMs ?? 0) === 0 ? null : (job.headStartMs ?? null),
  ],
}

const plain = [...common.kept, ...common.brought]
const brought = [...common.brought, ...rare.columns]

/**
 * Adds one row. Checks and extends the unique index of ids, and the partial indexes that have the
 * job.
 */
const ADD_PLAIN = insertOf(plain)
const ADD_FULL = insertOf([...plain, ...rare.columns])
/** Rewrites one row: walks to its rowid. */
const REPLACE = `UPDATE errand_jobs SET counters = NULL, suspect = 0, place = ?,
  ${brought.map((name) => `${name} = ?`).join(', ')} WHERE seq = ?`

function insertOf(columns: readonly string[]): string {
  const marks = columns.map(() => '?').join(', ')
  return `INSERT INTO errand_jobs (${columns.join(', ')}) VALUES (${marks}) ON CONFLICT (id) DO NOTHING`
}

/** Writes the row of a new job and returns its rowid, or null when the id is known already. */
export function addJob(tx: Transaction, job: NewJob, clocks: Clocks): number | null {
  const values = common.valuesOf(job, clocks)
  const rest = rare.valuesOf(job, clocks)
  const result = rest.every(isNull)
    ? tx.connection.statement(ADD_PLAIN).run(...values)
    : tx.connection.statement(ADD_FULL).run(...values, ...rest)
  return result.changes === 0 ? null : (result.lastInsertRowid as number)
}

function isNull(value: Value): boolean {
  return value === null
}

/** Gives the row of a waiting job what the new one brings, and fresh counters. */
export function replaceJob(
  tx: Transaction,
  seq: number,
  job: NewJob,
  clocks: Clocks,
  place: Value,
): void {
  const values = common.valuesOf(job, clocks).slice(common.kept.length)
  tx.run(REPLACE, place, ...values, ...rare.valuesOf(job, clocks), seq)
}

/**
 * The columns of a job that `readKnown` reads, the first of any statement that it reads rows of;
 * `j` is `errand_jobs`.
 */
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
