/** The smallest lock server there is: a map. For tests of what runs under locks, and as an example of the interface. */
import type { HoldAnswer, Holding, HoldRequest, LockOwner, Locks } from '../../src/store/locks.ts'

interface Row extends Holding {
  readonly until: number
  readonly owner: LockOwner
}

/** What several clients share, as the processes of a fleet share a server. */
export class ToyServer {
  readonly rows = new Map<string, Row>()
  readonly watchers = new Set<{ readonly name: string; readonly on: () => void }>()
  tokens = 0
  /** While it is true no call is answered. */
  isDown = false

  free(name: string): void {
    this.rows.delete(name)
    for (const watcher of this.watchers) if (watcher.name === name) setImmediate(watcher.on)
  }
}

export function toyLocks(server: ToyServer): Locks {
  let isClosed = false
  const check = (): void => {
    if (isClosed) throw Object.assign(new Error('the client is closed'), { code: 'closed' })
    if (server.isDown) throw new Error('the server is down')
  }
  const live = (name: string): Row | undefined => {
    const row = server.rows.get(name)
    return row !== undefined && row.until > performance.now() ? row : undefined
  }
  const hold = ({ name, holder, token, ttlMs, host, pid }: HoldRequest): HoldAnswer => {
    check()
    const row = live(name)
    const isOwn = row?.holder === holder && (token === null || row.token === token)
    if (row === undefined ? token !== null : !isOwn) {
      const freeInMs = row === undefined ? 0 : row.until - performance.now()
      return { status: 'taken', owner: row?.owner ?? null, freeInMs }
    }
    const held = row?.token ?? ++server.tokens
    const owner = row?.owner ?? { host, pid, since: Date.now(), token: held }
    server.rows.set(name, { name, holder, token: held, until: performance.now() + ttlMs, owner })
    return { status: 'held', token: held, validMs: ttlMs }
  }
  return {
    info: { kind: 'toy', location: 'this process' },
    connector: null,
    leastTtlMs: 1_000,
    hold: async (request) => hold(request),
    release: async ({ name, holder, token }) => {
      check()
      const row = live(name)
      if (row?.holder !== holder || row.token !== token) return 'stale'
      server.free(name)
      return 'released'
    },
    lockOwner: async (name) => {
      check()
      return live(name)?.owner ?? null
    },
    watch: (name, on) => {
      const watcher = { name, on }
      server.watchers.add(watcher)
      return () => void server.watchers.delete(watcher)
    },
    close: async () => {
      isClosed = true
    },
  }
}
