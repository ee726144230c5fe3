/** Stores for a run, each its own. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startPostgres } from '../postgres-server.ts'
import { startRedis } from '../redis-server.ts'

export interface Place {
  readonly url: string
  readonly close: () => Promise<void>
}

export async function place(store: string): Promise<Place> {
  switch (store) {
    case 'sqlite': {
      const folder = mkdtempSync(join(tmpdir(), 'errand-ticks-'))
      const close = async (): Promise<void> => rmSync(folder, { recursive: true, force: true })
      return { url: `sqlite:${join(folder, 'jobs.db')}`, close }
    }
    case 'postgres': {
      const server = await startPostgres({})
      return { url: server.url, close: () => server.stop() }
    }
    case 'redis': {
      const server = await startRedis()
      return { url: server.url, close: () => server.stop() }
    }
    default:
      throw new Error(`--store is sqlite, postgres or redis, not ${store}`)
  }
}
