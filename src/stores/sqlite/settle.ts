/** `settle`: writes what a worker decided about its jobs, if the jobs are still its own. */
import type { Requeue, Finish, SettleAnswer, Settlement } from '../../store/worker-calls.ts'
import { checkSettlements } from '../bounds.ts'
import { appendAttempt } from './attempts.ts'
import type { Row } from './connection.ts'
import { packCounters } from '../counters.ts'
import { endForNeed, finish, release, weighNeeds, type Endable } from './needs.ts'
import { insert } from './insert.ts'
import { bind, lineUp } from './lines.ts'
import { readRecord, RECORD_BY_ID, RECORD_BY_SEQ } from './rows.ts'
import { BLOCKED, CANCELLED, codeOf, READY, RUNNING, SCHEDULED } from '../state-codes.ts'
import type { Transaction } from './transaction.ts'
import { rekey } from './uniques.ts'

/**
 * The leases of jobs: for each walks the unique index of ids, then two rowids. Of the jobs that run
 * only those leased as overdue may have needs of their own.
 */
const LEASES = `SELECT j.id, j.seq, j.queue, j.unique_key, j.unique_during, j.unique_until,
  r.token, r.worker, r.started_at, r.cancel_asked, r.cancel_reason, r.overdue
  FROM json_each(?) e CROSS JOIN errand_jobs j ON j.id = e.value CROSS JOIN errand_running r ON r.seq = j.seq`
/**
 * The needed ones among ids: a range of the primary key of errand_needs between the least and the
 * greatest of them, which mostly holds few; where there are more than ids, a step in it for each id.
 */
const NEEDED_BETWEEN = `SELECT need FROM errand_needs WHERE need >= ? AND need <= ? ORDER BY need LIMIT ?`
const NEEDED_AMONG = `SELECT e.value FROM json_each(?) e WHERE e.value IN (SELECT need FROM errand_needs)`
/** Ends leases: walks rowids. */
const DROP_LEASES = `DELETE FROM errand_running WHERE seq IN (SELECT value FROM json_each(?))`
/** A rowid. */
const PUT_BACK = `UPDATE errand_jobs SET due_at = ?, place = ?, start_by = ?, suspect = ?, counters = ?, token = ?, worker = ?
  WHERE seq = ?`

/** A lease that still holds, with what must be known to end it. */
interface Lease extends Endable {
  readonly token: number
  readonly worker: string
  readonly startedAt: number | null
  readonly cancelAsked: boolean
  readonly cancelReason: string | null
  /** Whether an earlier settlement of the same call has ended it. */
  isSettled: boolean
}

interface Accepted {
  readonly settlement: Settlement
  readonly lease: Lease
}

export function settle(tx: Transaction, settlements: readonly Settlement[]): SettleAnswer[] {
  checkSettlements(settlements, tx.now)
  const leases = leasesOf(tx, settlements)
  const accepted: Accepted[] = []
  const answers = settlements.map((settlement): SettleAnswer => {
    const lease = leases.get(settlement.id)
    if (lease?.token !== settlement.token) return answerRepeat(tx, settlement)
    if (settlement.yieldsToCancel && lease.cancelAsked && !lease.isSettled) return 'cancel-asked'
    if (!lease.isSettled) accepted.push({ settlement, lease })
    lease.isSettled = true
    return 'settled'
  })
  for (const stretch of stretchesOf(tx, accepted)) {
    tx.run(DROP_LEASES, `[${stretch.map(({ lease }) => lease.seq).join()}]`)
    for (const one of stretch) write(tx, one)
    for (const one of stretch) follow(tx, one)
  }
  return answers
}

/**
 * Settlements that may be written at one go: each stretch ends with the first one that changes
 * other jobs too.
 */
function* stretchesOf(tx: Transaction, accepted: readonly Accepted[]): Generator<Accepted[]> {
  let stretch: Accepted[] = []
  for (const one of accepted) {
    stretch.push(one)
    const { settlement, lease } = one
    const removesKey = lease.key !== null && settlement.kind === 'finish' && settlement.keepMs === 0
    const isLinked = lease.isLinked || tx.isNeeded(lease.id)
    if (settlement.followUps.length === 0 && !removesKey && !isLinked) continue
    yield stretch
    stretch = []
  }
  if (stretch.length > 0) yield stretch
}

function leasesOf(tx: Transaction, settlements: readonly Settlement[]): Map<string, Lease> {
  const ids = settlements.map(({ id }) => id)
  const needed = neededAmong(tx, ids)
  const rows = tx.rows(LEASES, JSON.stringify(ids))
  return new Map(rows.map((row) => [row[0] as string, readLease(row, needed)]))
}

function neededAmong(tx: Transaction, ids: readonly string[]): ReadonlySet<unknown> {
  let [first = '', last = ''] = [ids[0], ids[0]]
  for (const id of ids) {
    if (id < first) first = id
    else if (id > last) last = id
  }
  const near = tx.rows(NEEDED_BETWEEN, first, last, ids.length + 1)
  const found = near.length > ids.length ? tx.rows(NEEDED_AMONG, JSON.stringify(ids)) : near
  return new Set(found.map(([id]) => id))
}

function readLease(row: Row, needed: ReadonlySet<unknown>): Lease {
  return {
    id: row[0] as string,
    seq: row[1] as number,
    queue: row[2] as string,
    key: row[3] as string | null,
    during: (row[4] as number | null) ?? 0,
    until: (row[5] as number | null) ?? 0,
    token: row[6] as number,
    worker: row[7] as string,
    startedAt: row[8] as number | null,
    cancelAsked: row[9] === 1,
    cancelReason: row[10] as string | null,
    isLinked: row[11] === 1 || needed.has(row[0]),
    isSettled: false,
  }
}

/** Tokens start at 1, so that a job that was never settled matches none. */
function answerRepeat(tx: Transaction, settlement: Settlement): SettleAnswer {
  const row = tx.row(RECORD_BY_ID, settlement.id)
  if (row === undefined || settlement.token === 0) return 'stale'
  return readRecord(row).settledToken === settlement.token ? 'settled' : 'stale'
}

/** Brings the job into its new state. */
function write(tx: Transaction, { settlement, lease }: Accepted): void {
  if (settlement.attempt !== null) appendAttempt(tx, lease.seq, settlement.attempt)
  switch (settlement.kind) {
    case 'finish':
      end(tx, settlement, lease)
      break
    case 'requeue':
      putBack(tx, settlement, lease)
      break
  }
}

/** Inserts follow-ups and answers the jobs that need this one. */
function follow(tx: Transaction, { settlement, lease }: Accepted): void {
  if (settlement.followUps.length > 0) insert(tx, settlement.followUps)
  switch (settlement.kind) {
    case 'finish':
      release(tx, lease, codeOf(settlement.state), settlement.keepMs)
      break
    case 'requeue':
      // A need that failed while the job was leased as overdue ends it now.
      if (lease.isLinked) endIfNeedFailed(tx, lease.seq)
      break
  }
}

function end(tx: Transaction, finishing: Finish, lease: Lease): void {
  const { output, keepMs, token, counters, startedAgoMs } = finishing
  const state = codeOf(finishing.state)
  const reason = finishing.reason ?? (state === CANCELLED ? lease.cancelReason : null)
  const { worker } = lease
  const startedAt = lease.startedAt ?? (startedAgoMs === null ? null : tx.now - startedAgoMs)
  const packed = packCounters(counters) ?? 0
  finish(tx, lease, RUNNING, {
    state,
    output,
    reason,
    keepMs,
    token,
    worker,
    startedAt,
    counters: packed,
  })
}

function putBack(tx: Transaction, again: Requeue, { seq, worker, isLinked }: Lease): void {
  const row = readRecord(tx.row(RECORD_BY_SEQ, seq) as Row)
  const dueAt = tx.now + again.delayMs
  const isBlocked = isLinked && weighNeeds(tx, seq) !== 'met'
  const state = isBlocked ? BLOCKED : again.delayMs > 0 ? SCHEDULED : READY
  const job = {
    ...row,
    dueAt,
    place: again.place === 'keep' ? row.place : dueAt - row.headStartMs,
    startBy: again.started ? null : row.startBy,
    suspect: row.suspect || again.suspect,
    counters: packCounters(again.counters),
  }
  const { place, startBy, suspect, counters } = job
  tx.run(PUT_BACK, dueAt, place, startBy, suspect ? 1 : 0, counters, again.token, worker, seq)
  lineUp(tx, job, state)
  bind(tx, job)
  tx.moved(job.queue, RUNNING, state)
  rekey(tx, job, state)
}

function endIfNeedFailed(tx: Transaction, seq: number): void {
  const verdict = weighNeeds(tx, seq)
  if (verdict === 'cancel' || verdict === 'fail')
    endForNeed(tx, readRecord(tx.row(RECORD_BY_SEQ, seq) as Row), verdict)
}
