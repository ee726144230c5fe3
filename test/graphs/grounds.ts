/** Empty stores for processes that are killed: each time another one, on one server. */
import { findPostgres } from '../postgres-server.ts'
import { findRedis } from '../redis-server.ts'

export interface Ground {
  /** URL of a store that nobody used yet; `sqlite:` leaves the file to the proof. */
  readonly next: () => string
  readonly close: () => Promise<void>
}

export const groundNames = ['sqlite', 'postgres', 'redis'] as const
export type GroundName = (typeof groundNames)[number]

/** Null where there is no server. */
export async function groundOf(name: GroundName): Promise<Ground | null> {
  let n = 0
  switch (name) {
    case 'sqlite':
      return { next: () => 'sqlite:', close: async () => undefined }
    case 'postgres': {
      const server = await findPostgres()
      if (server === null) return null
      const next = (): string => `${server.url}?schema=graphs_${process.pid}_${n++}`
      return { next, close: () => server.stop() }
    }
    case 'redis': {
      const server = await findRedis()
      if (server === null) return null
      // Every other time the jobs lie in several partitions.
      const next = (): string =>
        `${server.url}?prefix=graphs-${process.pid}-${n}&partitions=${n++ % 2 === 0 ? 1 : 4}`
      return { next, close: () => server.stop() }
    }
  }
}
