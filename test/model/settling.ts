/** What the holder of a lease says: settlements, renewals, notes, records. */
import { keptAttempts, keptLogLines } from '../../src/core/job.ts'
import type { Recorded } from '../../src/store/readers.ts'
import type {
  Requeue,
  Finish,
  LeaseRef,
  Note,
  NoteAnswer,
  RecordAnswer,
  RenewAnswer,
  SettleAnswer,
  RunRecord,
  Settlement,
} from '../../src/store/worker-calls.ts'
import { alter, end, enter, runningUnder, same, settleNeeds, type Draft } from './draft.ts'
import { edgeOf } from './edges.ts'
import { insertOne } from './intake.ts'
import type { ModelJob } from './state.ts'

/** Carries out one settlement and answers what the store may say. */
export function settleOne(draft: Draft, settlement: Settlement): readonly SettleAnswer[] {
  const job = runningUnder(draft, settlement)
  if (job === null) return refuse(draft, settlement)
  if (settlement.yieldsToCancel && job.shown.cancelAsked) {
    draft.edges.push('yielding settlement, cancel asked → nothing')
    return ['cancel-asked']
  }
  const edge = edgeOf(job, settlement)
  if (edge !== null) draft.edges.push(edge)
  for (const token of [...job.settled, settlement.token])
    draft.settledHere.add(`${settlement.id} ${token}`)
  const { counters, attempt } = settlement
  const kept = attempt === null ? [] : [attempt]
  const attempts = [...job.shown.attempts, ...kept].slice(-keptAttempts)
  const written = alter(draft, job, {
    settled: [...job.settled, settlement.token],
    shown: { counters, attempts },
  })
  if (settlement.kind === 'finish') finish(draft, written, settlement)
  else putBack(draft, written, settlement)
  for (const followUp of settlement.followUps) insertFollowUp(draft, followUp)
  settleNeeds(draft)
  return ['settled']
}

/**
 * Only the last accepted settlement must be recognised when it is repeated, while the job is known; an earlier one may be, and one
 * of the same call whose job was not kept.
 */
function refuse(draft: Draft, { id, token }: Settlement): readonly SettleAnswer[] {
  const settled = draft.jobs.get(id)?.settled ?? []
  const isRepeat = settled.at(-1) === token
  draft.edges.push(isRepeat ? 'repeated settlement → nothing' : 'stale settlement → nothing')
  if (isRepeat) return ['settled']
  return settled.includes(token) || draft.settledHere.has(`${id} ${token}`)
    ? ['settled', 'stale']
    : ['stale']
}

function insertFollowUp(draft: Draft, job: Settlement['followUps'][number]): void {
  const edges = draft.edges.length
  insertOne(draft, job, null)
  draft.edges.length = edges
}

function finish(draft: Draft, job: ModelJob, settlement: Finish): void {
  const { state, output, keepMs, startedAgoMs } = settlement
  const reason = settlement.reason ?? (state === 'cancelled' ? job.cancelReason : null)
  const ran = startedAgoMs === null ? null : draft.now - startedAgoMs
  const begun = alter(draft, job, { shown: { startedAt: job.shown.startedAt ?? ran } })
  end(draft, begun, state, { output, reason, keepMs })
}

function putBack(draft: Draft, job: ModelJob, again: Requeue): void {
  const dueAt = draft.now + again.delayMs
  const waits = again.delayMs > 0 ? 'scheduled' : 'ready'
  enter(draft, job, job.needs.length > 0 ? 'blocked' : waits, {
    place: again.place === 'keep' ? job.place : dueAt - job.headStartMs,
    isSuspect: job.isSuspect || again.suspect,
    overdueFrom: null,
    cancelReason: null,
    shown: {
      dueAt,
      startBy: again.started ? null : job.shown.startBy,
      leaseUntil: null,
      startedAt: null,
      cancelAsked: false,
    },
  })
}

export function renewOne(draft: Draft, lease: LeaseRef, leaseMs: number): RenewAnswer {
  const job = runningUnder(draft, lease)
  if (job === null) return 'stale'
  alter(draft, job, { shown: { leaseUntil: draft.now + leaseMs } })
  return job.shown.cancelAsked ? 'cancel-asked' : 'renewed'
}

export function noteOne(draft: Draft, note: Note): NoteAnswer {
  const job = runningUnder(draft, note)
  if (job === null) return 'stale'
  switch (note.kind) {
    case 'start':
      alter(draft, job, { shown: { startedAt: job.shown.startedAt ?? draft.now - note.agoMs } })
      break
    case 'progress':
      alter(draft, job, { shown: { progress: note.value } })
      break
    case 'log': {
      const line = { at: draft.now - note.agoMs, level: note.level, text: note.text }
      alter(draft, job, { log: [...job.log, line].slice(0, keptLogLines) })
      break
    }
  }
  return 'noted'
}

/** Holds a record to its lease; the jobs that it carries are inserted like any others. */
export function explainRecord(
  draft: Draft,
  record: RunRecord,
  answer: RecordAnswer | undefined,
): void {
  const job = runningUnder(draft, record)
  draft.edges.push(
    job === null ? 'stale record → nothing' : 'record under a lease → it and its jobs',
  )
  if (job === null) return same('record', answer, 'stale')
  alter(draft, job, { recorded: { ...job.recorded, [record.name]: record.text } })
  if (record.jobs === undefined) return same('record', answer, 'recorded')
  const answers = typeof answer === 'object' ? answer : []
  const expected = record.jobs.map((one, index) => {
    const edges = draft.edges.length
    const inserted = insertOne(draft, one, answers[index]?.token ?? null)
    draft.edges.length = edges
    settleNeeds(draft)
    return inserted
  })
  same('record', answer, expected)
}

/** What the runs of a job recorded, in the order of the names. */
export function recordedOf({ jobs }: Draft, id: string): readonly Recorded[] {
  const recorded = Object.entries(jobs.get(id)?.recorded ?? {})
  return recorded.map(([name, text]) => ({ name, text })).sort((a, b) => (a.name < b.name ? -1 : 1))
}
