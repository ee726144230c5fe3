import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { memoryStore } from '../../stores/memory/store.ts'
import { MemoryDatabase } from '../../stores/memory/state.ts'
import { postgres } from '../../stores/postgres/index.ts'
import { redis } from '../../stores/redis/index.ts'
import { sqlite } from '../../stores/sqlite/index.ts'
import { systemClock } from '../../stores/system-clock.ts'
import type { Store } from '../../store.ts'
import { runRules } from '../../testing/conformance/harness.ts'
import { lockRules } from '../../testing/conformance/lock-rules.ts'
import { findPostgres } from '../../../test/postgres-server.ts'
import { findRedis } from '../../../test/redis-server.ts'
import type { Locks } from '../lock.ts'
import { storeLocks } from './store.ts'

const folder = await mkdtemp(join(tmpdir(), 'errand-locks-'))
after(() => rm(folder, { recursive: true }))
const database = await findPostgres()
after(() => database?.stop())
const server = await findRedis()
after(() => server?.stop())

const memory = new MemoryDatabase()
proved('memory', () => ofOwn(memoryStore(memory, systemClock)))
proved('SQLite', () => ofOwn(sqlite(join(folder, 'locks.db'))))
if (database !== null)
  proved('PostgreSQL', () => ofOwn(postgres(database.url, { schema: 'errand_locks' })))
if (server !== null) proved('Redis', () => ofOwn(redis(server.url, { prefix: 'errand-locks' })))

/** The locks of a store that belongs to one client of a rule. */
async function ofOwn(store: Store): Promise<Locks> {
  return { ...storeLocks(store), close: () => store.close() }
}

function proved(name: string, open: () => Promise<Locks>): void {
  void describe(`locks on ${name}`, { concurrency: true }, () => {
    runRules({
      test: (rule, run) => void test(rule, run),
      harness: { open },
      rules: lockRules,
    })
  })
}
