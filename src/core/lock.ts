/** Named locks with fencing numbers: what is asked and answered, and the step that those of a store take. */

/** What a store offers for singletons: named locks, and small records. The hint `lock` tells of a release and of a write. */
export interface Locking {
  /** Takes or extends a lock: see `Locks`. */
  hold(request: HoldRequest): Promise<HoldAnswer>
  release(holding: Holding): Promise<'released' | 'stale'>
  lockOwner(name: string): Promise<LockOwner | null>
  /** Keeps a text under a key, in place of what was there; null removes it. */
  putRecord(key: string, text: string | null): Promise<void>
  getRecord(key: string): Promise<string | null>
}

export interface HoldRequest {
  readonly name: string
  /** A UUID of the process's own, the same for as long as it wants the lock. */
  readonly holder: string
  /** The holding to extend; null to take the lock. */
  readonly token: number | null
  /** How long the lock outlives its holder, in milliseconds; at least the server's `leastTtlMs`. */
  readonly ttlMs: number
  /** Who asks, for others to see. */
  readonly host: string
  readonly pid: number
}

export interface Holding {
  readonly name: string
  readonly holder: string
  readonly token: number
}

export type HoldAnswer =
  | {
      readonly status: 'held'
      readonly token: number
      /** Milliseconds, counted from before the call, for which nobody else gets it. */
      readonly validMs: number
    }
  | {
      readonly status: 'taken'
      /** Who has it, as far as that is known. */
      readonly owner: LockOwner | null
      /** Milliseconds after which it may be free if its holder is dead; null when the server does not tell. */
      readonly freeInMs: number | null
    }

/** Who holds a lock, as the server tells. */
export interface LockOwner {
  readonly host: string
  /** Null when the record is not one of Errand's. */
  readonly pid: number | null
  /** Since when, in milliseconds since the epoch. */
  readonly since: number | null
  readonly token: number | null
}

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

/** Answers a request for a lock, and what the store keeps of it then; the row is null when nothing changes. */
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
