/** Who makes a request, and what they may do. */

/**
 * `read`: every GET. `enqueue`: new jobs. `work`: the calls of a worker. `operate`: cancel, retry, remove, pause, schedules,
 * control. `admin`: tokens.
 */
export type Scope = 'read' | 'enqueue' | 'work' | 'operate' | 'admin'

export const scopes: readonly Scope[] = ['read', 'enqueue', 'work', 'operate', 'admin']

export interface Caller {
  /** The id of the token, or what names a caller that needs none; null for nothing. */
  readonly token: string | null
  readonly scopes: ReadonlySet<Scope>
  /** The queues that the caller may touch; null for all. */
  readonly queues: ReadonlySet<string> | null
}

/** Who may do everything: a caller on this machine, while no token exists. */
export const everybody: Caller = { token: null, scopes: new Set(scopes), queues: null }

/** Who may do nothing but what everybody may. */
export const nobody: Caller = { token: null, scopes: new Set(), queues: null }

export function mayTouch(caller: Caller, queue: string): boolean {
  return caller.queues === null || caller.queues.has(queue)
}
