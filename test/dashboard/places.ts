/** Fresh places for jobs on each kind of store, for suites that run on all of them. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import type { Store } from 'errand'
import { postgres as postgresStore } from 'errand/postgres'
import { redis as redisStore } from 'errand/redis'
import { sqlite } from 'errand/sqlite'
import { findPostgres } from '../postgres-server.ts'
import { findRedis } from '../redis-server.ts'

/** Opens the same place each time. */
export type Open = () => Store

/** What makes an empty place, by the kind of its store. The end of the calling file removes all. */
export async function findPlaces(
  name: string,
): Promise<Readonly<Record<string, () => Promise<Open>>>> {
  const postgres = await findPostgres()
  const redis = await findRedis()
  const folders: string[] = []
  // After the apps of all tests are closed.
  after(async () => {
    for (const folder of folders) await rm(folder, { recursive: true })
    await postgres?.stop()
    await redis?.stop()
  })
  let count = 0
  const next = (): string => `${name}_${process.pid}_${count++}`
  return {
    async sqlite() {
      const folder = await mkdtemp(join(tmpdir(), `errand-${name}-`))
      folders.push(folder)
      return () => sqlite(join(folder, 'jobs.db'))
    },
    ...(postgres !== null && {
      async postgres() {
        const schema = next()
        return () => postgresStore(postgres.url, { schema })
      },
    }),
    ...(redis !== null && {
      async redis() {
        const prefix = next()
        return () => redisStore(redis.url, { prefix })
      },
    }),
  }
}
