/** Empty places for measurements, one at a time, and what can be seen of them from outside. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Redis } from 'ioredis'
import pg from 'pg'
import { serverCpuMicroseconds } from '../kit/cpu.ts'
import { slept, ticks } from '../kit/ticks.ts'
import type { Figures } from '../workload.ts'
import type { Server } from './servers.ts'

export interface Place {
  readonly url: string
  /** The `bytes` of all jobs and of the write-ahead log so far, where there is one. */
  weigh(): Promise<Figures>
  /**
   * What the server has used and counted so far, once no process uses the place any more: microseconds of `cpu`, and on PostgreSQL bytes
   * of `wal`, `commits` and `dead` rows.
   */
  count(): Promise<Figures>
  /** Lets the server do its chores now and not during the measurement. */
  settle(): Promise<void>
  close(): Promise<void>
}

export type OpenPlace = () => Promise<Place>

const WAL = `(pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::float8 AS wal`
const WEIGHT = `SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::float8 AS bytes, ${WAL}
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'm') AND n.nspname !~ '^(pg_|information_schema)'`
const COUNTS = `SELECT xact_commit::float8 AS commits, ${WAL},
  (SELECT coalesce(sum(n_dead_tup), 0)::float8 FROM pg_stat_user_tables) AS dead
  FROM pg_stat_database WHERE datname = current_database()`
/** A backend hands its counters in when it ends. */
const OTHERS = `SELECT count(*)::int AS others FROM pg_stat_activity
  WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'`

/** Databases of one server, each dropped after use. */
export function postgresPlaces({ url, pid }: Server): OpenPlace {
  let opened = 0
  return async () => {
    const name = `bench_${++opened}`
    await query(url, 'CHECKPOINT')
    await query(url, `CREATE DATABASE ${name}`)
    const place = new URL(url)
    place.pathname = `/${name}`
    return {
      url: place.href,
      weigh: () => query(place.href, WEIGHT),
      count: async () => {
        await quiet(place.href)
        return { ...(await query(place.href, COUNTS)), cpu: serverCpuMicroseconds(pid) }
      },
      settle: async () => void (await query(place.href, 'VACUUM ANALYZE')),
      close: async () => void (await query(url, `DROP DATABASE ${name} WITH (FORCE)`)),
    }
  }
}

async function query(url: string, text: string): Promise<Record<string, number>> {
  const client = new pg.Client(url)
  await client.connect()
  try {
    return (await client.query<Record<string, number>>(text)).rows[0] ?? {}
  } finally {
    await client.end()
  }
}

async function quiet(url: string): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    if ((await query(url, OTHERS))['others'] === 0) return
    await slept(20)
  }
  throw new Error('a connection was left open')
}

/** Files in a folder that does not outlive the place: what a server is held against. */
export const filePlaces: OpenPlace = async () => {
  const folder = await mkdtemp(join(tmpdir(), 'errand-bench-file-'))
  return {
    url: pathToFileURL(join(folder, 'errand.db')).href,
    weigh: async () => ({}),
    count: async () => ({}),
    settle: async () => undefined,
    close: () => rm(folder, { recursive: true }),
  }
}

/** The one database of a Redis server, flushed before use. */
export function redisPlaces({ url, pid }: Server): OpenPlace {
  return async () => {
    const client = new Redis(url)
    await client.flushall()
    await rewriteLog(client)
    return {
      url,
      weigh: async () => ({ bytes: await read(client, 'used_memory') }),
      count: async () => ({ cpu: serverCpuMicroseconds(pid) }),
      settle: () => rewritten(client),
      close: async () => void (await client.quit()),
    }
  }
}

/** Else the append-only file of the last measurement might be rewritten during the next one. */
async function rewriteLog(client: Redis): Promise<void> {
  if ((await read(client, 'aof_enabled')) === 0) return
  await rewritten(client)
  await client.bgrewriteaof()
  await rewritten(client)
}

async function rewritten(client: Redis): Promise<void> {
  const end = ticks() + 60_000
  const left = async (): Promise<number> =>
    (await read(client, 'aof_rewrite_in_progress')) + (await read(client, 'aof_rewrite_scheduled'))
  while ((await left()) > 0) {
    if (ticks() > end) throw new Error('the append-only file is being rewritten for ever')
    await slept(10)
  }
}

async function read(client: Redis, field: string): Promise<number> {
  return Number(new RegExp(`${field}:(\\d+)`).exec(await client.info())?.[1])
}
