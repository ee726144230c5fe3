/** From rows of the server to jobs. */
import type { ClaimedJob, KnownJob, StoredJob } from '../../store/job.ts'
import { readLabels } from '../labels.ts'
import { handedOut, lastTime, shown } from '../unreadable.ts'
import { readNeeded } from './outputs.ts'
import { readCounters } from '../counters.ts'
import { stateOf, type StateCode } from '../state-codes.ts'

export type Value = string | number | boolean | null
export type Row = readonly Value[]

/**
 * The first columns of `errand.handed` and `errand.stored`, as `readKnown` reads them. What
 * neighbours mostly have in common comes as one text, which is read only where it changes: taking a
 * row's columns apart is most of what a claim costs the client.
 */
const knownColumns = `seq, id, task, concat_ws(' ', token, priority, created_at, due_at, queue), input, codec, options, parent, group_id,
  labels, unique_key, start_by, deadline_at, counters, started_at, nullif(cancel_asked, false)`

/** Reads the columns of `knownColumns`. */
function readKnown(row: Row): KnownJob {
  const { token, priority, createdAt, dueAt, queue } = commonOf(row[3] as string)
  const { tags, headers } = readLabels(row[9] as string | null)
  return {
    id: row[1] as string,
    task: row[2] as string,
    queue,
    priority,
    input: row[4] as string,
    codec: row[5] as string | null,
    options: row[6] as string | null,
    parent: row[7] as string | null,
    group: row[8] as string | null,
    tags,
    headers,
    uniqueKey: row[10] as string | null,
    createdAt,
    dueAt,
    startBy: row[11] as number | null,
    deadlineAt: row[12] as number | null,
    counters: readCounters(row[13] as string | null),
    token,
    startedAt: row[14] as number | null,
    cancelAsked: row[15] === true,
  }
}

/** The number of the job in a row. */
export function seqOf(row: Row): number {
  return row[0] as number
}

interface Common {
  readonly token: number
  readonly priority: number
  readonly createdAt: number
  readonly dueAt: number
  readonly queue: string
}

let lastCommon: { readonly text: string; readonly common: Common } | null = null

/** Reads what neighbours have in common; what was read last is kept. */
function commonOf(text: string): Common {
  if (lastCommon?.text === text) return lastCommon.common
  const common = readCommon(text)
  lastCommon = { text, common }
  return common
}

/** The queue stands at the end, since its name may hold anything. */
function readCommon(text: string): Common {
  const numbers = text.split(' ', 4)
  const [token = 0, priority = 0, createdAt = 0, dueAt = 0] = numbers.map(Number)
  const queue = text.slice(numbers.join(' ').length + 1)
  return { token, priority, createdAt, dueAt, queue }
}

/**
 * `why` is null for a ready job, `needed` with what its needs left for it, `overdue`, or `lost` with the token and the worker of the lease
 * that expired.
 */
export const handedColumns: string = `${knownColumns}, why`

/** Reads rows of `handedColumns`. */
export function readClaimed(rows: readonly Row[]): ClaimedJob[] {
  return rows.map((row) => {
    return handedOut({ ...readKnown(row), ...readWhy(row[16] as string | null) })
  })
}

type Why = Pick<ClaimedJob, 'why' | 'lostBy' | 'needed'>

const ready: Why = { why: 'ready', lostBy: null, needed: [] }

function readWhy(text: string | null): Why {
  if (text === null) return ready
  if (text === 'overdue') return { ...ready, why: 'overdue' }
  if (text.startsWith('needed ')) return { ...ready, needed: readNeeded(text.slice(7)) }
  const [why = '', token = ''] = text.split(' ', 2)
  const worker = text.slice(why.length + token.length + 2)
  return { ...ready, why: 'lost', lostBy: { worker, token: Number(token) } }
}

/** What the first row of an answer tells, which is no job. */
export interface Header {
  readonly now: number
  /** When the next job is due; null for none, and for a time that cannot be read. */
  readonly dueAt: number | null
  /**
   * How many dead rows a claim stepped over, where it ended in each queue, and whether it passed by
   * work that others held.
   */
  readonly dead: number
  readonly ends: string
  /** How many rows were read to find the queues that have work. */
  readonly searched: number
  readonly passed: boolean
  /** Whether it stopped for the size of its inputs. */
  readonly cut: boolean
}

export function readHeader(row: Row): Header {
  const { token, priority, createdAt, dueAt, queue } = readCommon(row[3] as string)
  return {
    now: createdAt,
    dueAt: dueAt < 0 || dueAt > lastTime ? null : dueAt,
    dead: token,
    ends: row[2] as string,
    searched: Number(queue),
    passed: (priority & 1) === 1,
    cut: priority >= 2,
  }
}

/** Columns of the view `errand.stored` as readers show them. */
export const storedColumns: string = `${knownColumns}, state, worker, lease_until, finished_at, keep_ms, progress, attempts, output, reason`

/** How many columns these are: what a statement adds stands behind them. */
export const storedWidth = 25

/** Reads a row of `storedColumns`. */
export function readStored(row: Row): StoredJob {
  const finishedAt = row[19] as number | null
  const keepMs = row[20] as number | null
  return shown({
    ...readKnown(row),
    state: stateOf(row[16] as StateCode),
    worker: row[17] as string | null,
    leaseUntil: row[18] as number | null,
    finishedAt,
    expiresAt: finishedAt === null || keepMs === null ? null : finishedAt + keepMs,
    progress: row[21] as string | null,
    attempts: row[22] === null ? [] : (JSON.parse(row[22] as string) as string[]),
    output: row[23] as string | null,
    reason: row[24] as string | null,
  })
}
