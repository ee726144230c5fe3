import type { Figures } from '../../workload.ts'
import { drainRawPostgres, insertManyRawPostgres, insertRawPostgres } from './postgres.ts'
import { drainRawRedis, insertRawRedis } from './redis.ts'

export const rawCycles = {
  'postgres-drain': drainRawPostgres,
  'postgres-insert': insertRawPostgres,
  'postgres-insert-many': insertManyRawPostgres,
  'redis-drain-1': (url, jobs) => drainRawRedis(url, jobs, 1),
  'redis-drain-4': (url, jobs) => drainRawRedis(url, jobs, 4),
  'redis-insert': (url, jobs) => insertRawRedis(url, jobs, 1, 1),
  'redis-insert-100': (url, jobs) => insertRawRedis(url, jobs, 1, 100),
  'redis-insert-many': (url, jobs) => insertRawRedis(url, jobs, 1_000, 1),
} as const satisfies Readonly<Record<string, (url: string, jobs: number) => Promise<Figures>>>

export type RawCycle = keyof typeof rawCycles
