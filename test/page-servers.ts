/** Servers for programs of pages and examples, which find them as programs do: by `DATABASE_URL`, `REDIS_URL` and `RABBITMQ_URL`. */
import { findPostgres, query } from './postgres-server.ts'
import { findRabbitmq } from './rabbitmq-server.ts'
import { findRedis } from './redis-server.ts'

export type Need = 'postgres' | 'redis' | 'rabbitmq'

export interface PageServers {
  /** What to add to the environment of a program. */
  readonly env: Readonly<Record<string, string>>
  has(need: Need): boolean
  stop(): Promise<void>
}

/** Finds the servers that are needed; PostgreSQL with a database that is made for this process. */
export async function pageServers(needs: ReadonlySet<Need>): Promise<PageServers> {
  const env: Record<string, string> = {}
  const stops: (() => Promise<unknown>)[] = []
  const postgres = needs.has('postgres') ? await findPostgres() : null
  if (postgres !== null) {
    const database = `errand_pages_${process.pid}`
    await query(postgres.url, `CREATE DATABASE ${database}`)
    env['DATABASE_URL'] = postgres.url.replace(/\/[^/]*$/, `/${database}`)
    stops.push(
      () => query(postgres.url, `DROP DATABASE ${database} WITH (FORCE)`),
      () => postgres.stop(),
    )
  }
  const redis = needs.has('redis') ? await findRedis() : null
  if (redis !== null) {
    env['REDIS_URL'] = `${redis.url}/15`
    stops.push(() => redis.stop())
  }
  const rabbitmq = needs.has('rabbitmq') ? await findRabbitmq() : null
  if (rabbitmq !== null) {
    env['RABBITMQ_URL'] = rabbitmq.url
    stops.push(() => rabbitmq.stop())
  }
  const found = { postgres, redis, rabbitmq }
  return {
    env,
    has: (need) => found[need] !== null,
    stop: async () => {
      for (const stop of stops) await stop()
    },
  }
}
