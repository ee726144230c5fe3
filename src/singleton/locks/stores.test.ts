import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { memoryStore } from '../../stores/memory/store.ts'
import { MemoryDatabase } from '../../stores/memory/state.ts'
import { postgres } from '../../stores/postgres/index.ts'
import { redis } from '../../stores/redis/index.ts'
import { sqlite } from '../../stores/sqlite/index.ts'
import { systemClock } from '../../stores/system-clock.ts'
import type { Store } from '../../store/store.ts'
import { runRules } from '../../testing/conformance/harness.ts'
import { lockRules } from '../../testing/conformance/lock-rules.ts'
import { findPostgres } from '../../../test/postgres-server.ts'
import { findRedis } from '../../../test/redis-server.ts'
import type { Locks } from '../../store/locks.ts'
import { storeLocks } from './store.ts'

/** The pace of polls that would find it anyway is slower. */
const lateMs = 5_000

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
    void test('a watch that begins after the release tells of it', async (t) => {
      const [a, b] = [await open(), await open()]
      t.after(() => Promise.all([a.close(), b.close()]))
      const request = { name: 'late', token: null, ttlMs: 30_000, host: 'here', pid: 1 }
      const taken = await a.hold({ ...request, holder: 'a' })
      assert.equal(taken.status, 'held')
      assert.equal((await b.hold({ ...request, holder: 'b' })).status, 'taken')
      await a.release({ ...request, holder: 'a', token: taken.token })
      const heard = Promise.withResolvers<boolean>()
      const unwatch = b.watch('late', () => heard.resolve(true))
      t.after(unwatch)
      const late = sleep(lateMs, false, { ref: false })
      assert.ok(await Promise.race([heard.promise, late]), `nothing after ${lateMs} ms`)
    })
  })
}
