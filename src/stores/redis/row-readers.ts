/**
 * Reading records: jobs as they lie in Redis, for those whom they are handed to and shown to. See
 * `rows.ts`.
 */
import type { ClaimedJob, KnownJob, StoredJob } from '../../store/job.ts'
import { handedOut, shown } from '../unreadable.ts'
import { readCounters } from '../counters.ts'
import { readNullable, readNumber } from './encoding.ts'
import { unpackId } from './ids.ts'
import { readFields, type Fields } from './job-fields.ts'
import { stateOf } from '../state-codes.ts'

/** A record taken apart. */
interface Opened {
  readonly head: readonly string[]
  readonly ending: readonly string[] | null
  readonly fields: Fields
  readonly output: string | null
}

/** Where the head and the ending have what of it the client reads. */
const headAt = {
  created: 2,
  due: 3,
  marks: 5,
  startBy: 6,
  deadlineAt: 7,
  counters: 9,
  token: 10,
  worker: 11,
} as const
const endingAt = {
  finishedAt: 1,
  startedAt: 2,
  worker: 3,
  keep: 5,
  reason: 6,
  counters: 7,
  token: 8,
  outputLength: 9,
} as const

/**
 * The fields of a head. That of a job that was never touched has three, of which only the last is
 * of use here.
 */
function headOf(record: string, start: number, end: number): readonly string[] {
  const tab = record.indexOf('\t', start)
  if (record[tab + 1] === '\t' && record.indexOf('\t', tab + 2) > end)
    return ['', '', record.slice(tab + 2, end)]
  return record.slice(start + 1, end).split('\t')
}

function open(record: string): Opened {
  const start = record.startsWith('F') ? record.indexOf('\n') + 1 : 0
  const ending = start === 0 ? null : record.slice(1, start - 1).split('\t')
  const a = record.indexOf('\n', start)
  const b = a < 0 ? -1 : record.indexOf('\n', a + 1)
  // No record at all: scripts keep it as the text of a job without a name.
  if (b < 0) return open(`P\n\n${record.slice(start)}`)
  const texts = record.slice(b + 1)
  const outputLength = readNumber(ending?.[endingAt.outputLength]?.split(',')[0])
  const end = outputLength === null ? texts.length : texts.length - outputLength
  return {
    head: headOf(record, start, a),
    ending,
    fields: readFields(record.slice(a + 1, b), texts, end),
    output: outputLength === null ? null : texts.slice(end),
  }
}

/** What a lease adds to a record. */
interface Leased {
  readonly token: number
  readonly startedAt: number | null
  readonly cancelAsked: boolean
}

/** What is known of a job, whoever asks. */
function known(id: string, opened: Opened, { token, startedAt, cancelAsked }: Leased): KnownJob {
  const { head, ending, fields } = opened
  const { task, queue, priority, input, codec, options, parent } = fields
  const { group, tags, headers, uniqueKey } = fields
  const createdAt = readNumber(head[headAt.created]) ?? NaN
  return {
    id,
    task,
    queue,
    priority,
    input,
    codec,
    options,
    parent,
    group,
    tags,
    headers,
    uniqueKey,
    createdAt,
    dueAt: readNumber(head[headAt.due]) ?? createdAt,
    startBy: readNumber(head[headAt.startBy]),
    deadlineAt: readNumber(head[headAt.deadlineAt]),
    counters: readCounters(
      (ending === null ? head[headAt.counters] : ending[endingAt.counters]) ?? null,
    ),
    token,
    startedAt,
    cancelAsked,
  }
}

/** Reads a record as a job that is handed out under a lease. */
export function readClaimed(
  id: string,
  record: string,
  leased: Leased,
  { why, lostBy }: Pick<ClaimedJob, 'why' | 'lostBy'>,
): ClaimedJob {
  const opened = open(record)
  const isUnreadable = opened.head[headAt.marks]?.includes('u') === true
  return handedOut({
    ...known(id, opened, leased),
    why: isUnreadable ? 'unreadable' : why,
    lostBy,
    needed: [],
  })
}

/** A lease as it lies in Redis: see `rowsLua`. */
export function readLease(lease: string): Leased & {
  readonly leaseUntil: number | null
  readonly worker: string | null
  readonly isOverdue: boolean
} {
  const [token, leaseUntil, startedAt, flags, worker] = lease.split('\t')
  return {
    token: readNumber(token) ?? 0,
    leaseUntil: readNumber(leaseUntil),
    startedAt: readNumber(startedAt),
    cancelAsked: flags?.includes('c') ?? false,
    worker: readNullable(worker),
    isOverdue: flags?.includes('o') ?? false,
  }
}

/** A job as scripts show it: record, state, lease or '', progress or '', attempts. */
export type Shown = readonly [
  id: string,
  record: string,
  state: number,
  lease: string,
  progress: string,
  attempts: readonly string[],
]

/** Reads what a script shows of a job. */
export function readStored([id, record, state, lease, progress, attempts]: Shown): StoredJob {
  const opened = open(record)
  const { head, ending, output } = opened
  const finishedAt = readNumber(ending?.[endingAt.finishedAt])
  const keepMs = readNumber(ending?.[endingAt.keep])
  const leased =
    lease === ''
      ? {
          token: readNumber(ending?.[endingAt.token] ?? head[headAt.token]) ?? 0,
          leaseUntil: null,
          startedAt: readNumber(ending?.[endingAt.startedAt]),
          cancelAsked: false,
          worker: readNullable(ending?.[endingAt.worker] ?? head[headAt.worker]),
        }
      : readLease(lease)
  return shown({
    ...known(unpackId(id), opened, leased),
    state: stateOf(state),
    worker: leased.worker,
    leaseUntil: leased.leaseUntil,
    finishedAt,
    expiresAt: finishedAt === null || keepMs === null ? null : finishedAt + keepMs,
    progress: progress === '' ? null : progress.slice(1),
    attempts: [...attempts],
    output,
    reason: readNullable(ending?.[endingAt.reason]),
  })
}
