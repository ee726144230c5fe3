/** What a store that has no locks of its own keeps of a named lock, and the step that a call takes. */
import type { HoldAnswer, Holding, HoldRequest, LockOwner } from '../store/locks.ts'

/** What a store keeps of a lock; also while it is free, so that its tokens grow. */
export interface LockRow {
  readonly token: number
  readonly holder: string
  /** When the lock is free; in the past when it is. */
  readonly until: number
  readonly host: string
  readonly pid: number
  readonly since: number
}

/** Returns the answer to a request for a lock, and what the store keeps of it then; the row is null when nothing changes. */
export function holdOf(
  row: LockRow | null,
  request: HoldRequest,
  now: number,
): { readonly answer: HoldAnswer; readonly row: LockRow | null } {
  const { holder, token, ttlMs, host, pid } = request
  const until = now + ttlMs
  const isOwn = row?.holder === holder && (token === null ? row.until > now : row.token === token)
  if (isOwn)
    return { answer: { status: 'held', token: row.token, validMs: ttlMs }, row: { ...row, until } }
  if (token !== null || (row !== null && row.until > now)) {
    const owner = ownerIn(row, now)
    const freeInMs = owner === null ? 0 : (row?.until ?? now) - now
    return { answer: { status: 'taken', owner, freeInMs }, row: null }
  }
  // Also greater than tokens that the store has forgotten.
  const fresh = Math.max((row?.token ?? 0) + 1, now * 1_000)
  return {
    answer: { status: 'held', token: fresh, validMs: ttlMs },
    row: { token: fresh, holder, until, host, pid, since: now },
  }
}

/** What is kept of a lock after its release; null when somebody else's holding is in the row. */
export function releasedRow(row: LockRow | null, { holder, token }: Holding): LockRow | null {
  const isOwn = row?.holder === holder && row.token === token
  return isOwn ? { ...row, holder: '', until: 0 } : null
}

export function ownerIn(row: LockRow | null, now: number): LockOwner | null {
  if (row === null || row.until <= now) return null
  const { host, pid, since, token } = row
  return { host, pid, since, token }
}
