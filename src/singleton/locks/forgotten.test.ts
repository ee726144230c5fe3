/** Tokens after a store has lost its last writes, as after a fail-over or from a backup: they are greater than those that it gave before. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, test } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { Redis } from 'ioredis'
import pg from 'pg'
import { postgres } from '../../stores/postgres/index.ts'
import { redis } from '../../stores/redis/index.ts'
import { sqlite } from '../../stores/sqlite/index.ts'
import type { Store } from '../../store/store.ts'
import { findPostgres } from '../../../test/postgres-server.ts'
import { findRedis } from '../../../test/redis-server.ts'

const request = {
  name: 'reports',
  holder: 'b0a1d6ce-7a3c-4c5e-8f1f-0d6f4a1b2c3d',
  token: null,
  ttlMs: 5_000,
  host: 'here',
  pid: 1,
}
const rounds = 3

const database = await findPostgres()
after(() => database?.stop())
const server = await findRedis()
after(() => server?.stop())

/** Takes the lock again and again, with all that the store knew of it lost in between. */
async function growsThrough(store: Store, forget: () => unknown): Promise<void> {
  let last = 0
  for (let round = 0; round < rounds; round++) {
    for (let holding = 0; holding < 2; holding++) {
      const answer = await store.hold(request)
      assert.equal(answer.status, 'held')
      assert.ok(answer.token > last, `${answer.token} after ${last}`)
      last = answer.token
      assert.equal(await store.release({ ...request, token: last }), 'released')
    }
    await forget()
    assert.equal(await store.lockOwner(request.name), null)
  }
}

test('on SQLite', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'errand-forgotten-'))
  t.after(() => rm(folder, { recursive: true }))
  const file = join(folder, 'errand.db')
  const store = sqlite(file)
  t.after(() => store.close())
  await growsThrough(store, async () => {
    // Its tokens grow with a clock of milliseconds, and no file is put back from a backup within one.
    await setTimeout(2)
    const database = new DatabaseSync(file, { timeout: 5_000 })
    assert.equal(database.prepare('DELETE FROM errand_locks').run().changes, 1)
    database.close()
  })
})

if (database !== null) {
  test('on PostgreSQL', async (t) => {
    const store = postgres(database.url, { schema: 'forgotten' })
    t.after(() => store.close())
    await growsThrough(store, async () => {
      const client = new pg.Client({ connectionString: database.url })
      await client.connect()
      assert.equal((await client.query('DELETE FROM forgotten.locks')).rowCount, 1)
      await client.end()
    })
  })
}

if (server !== null) {
  test('on Redis', async (t) => {
    const store = redis(server.url, { prefix: 'forgotten' })
    t.after(() => store.close())
    await growsThrough(store, async () => {
      const client = new Redis(server.url)
      assert.equal(await client.del('{forgotten:0}:lock:reports'), 1)
      client.disconnect()
    })
  })
}
