/** What a worker says about jobs while they run: `renew`, `note` and `record`. */
import { keptLogLines } from '../../core/job.ts'
import type {
  LeaseRef,
  Note,
  NoteAnswer,
  RecordAnswer,
  RenewAnswer,
  RunRecord,
} from '../../store/worker-calls.ts'
import { insertOne } from './insert.ts'
import type { MemoryDatabase, Row } from './state.ts'

/** Extends leases. One that expired is still its holder's until another took it. */
export function renew(
  db: MemoryDatabase,
  leases: readonly LeaseRef[],
  leaseMs: number,
  now: number,
): RenewAnswer[] {
  return leases.map((lease) => {
    const row = runningUnder(db, lease)
    if (row === undefined) return 'stale'
    row.leaseUntil = now + leaseMs
    return row.cancelAsked ? 'cancel-asked' : 'renewed'
  })
}

export function note(db: MemoryDatabase, notes: readonly Note[], now: number): NoteAnswer[] {
  return notes.map((one) => {
    const row = runningUnder(db, one)
    if (row === undefined) return 'stale'
    write(row, one, now)
    return 'noted'
  })
}

/** Writes records of runs, and inserts the jobs that they carry. */
export function record(
  db: MemoryDatabase,
  records: readonly RunRecord[],
  now: number,
): RecordAnswer[] {
  return records.map((one) => {
    const row = runningUnder(db, one)
    if (row === undefined) return 'stale'
    row.recorded.set(one.name, one.text)
    return one.jobs === undefined ? 'recorded' : one.jobs.map((job) => insertOne(db, job, now))
  })
}

function write(row: Row, one: Note, now: number): void {
  switch (one.kind) {
    case 'start':
      row.startedAt ??= now - one.agoMs
      break
    case 'progress':
      row.progress = one.value
      break
    case 'log':
      if (row.logs.length < keptLogLines)
        row.logs.push({ at: now - one.agoMs, level: one.level, text: one.text })
      break
  }
}

function runningUnder(db: MemoryDatabase, lease: LeaseRef): Row | undefined {
  const row = db.jobs.get(lease.id)
  return row?.state === 'running' && row.token === lease.token ? row : undefined
}
