import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { inspect } from 'node:util'
import { Cluster, Redis } from 'ioredis'
import { canStartRedis, startRedis } from '../../../test/redis-server.ts'
import type { Store } from '../../store/store.ts'
import { newJob } from '../../testing/conformance/jobs.ts'
import { redis, type RedisClient } from './index.ts'

const card = 'CARD-4111'

/** Fails when an error, as a log would write it with all its causes, holds a text. */
async function assertSilent(call: Promise<unknown>, secret: string): Promise<void> {
  await assert.rejects(call, (error: Error) => {
    const logged = inspect(error, { depth: Infinity, showHidden: true })
    assert.ok(!logged.includes(secret), logged)
    assert.ok(!JSON.stringify(error).includes(secret))
    return true
  })
}

test('redis: a client that changes names of keys or numbers is refused', () => {
  for (const options of [{ keyPrefix: 'mine:' }, { stringNumbers: true }]) {
    const client = new Redis({ ...options, lazyConnect: true }) as unknown as RedisClient
    assert.throws(() => redis(client), { code: 'invalid-option', message: /cannot use a client/ })
    const cluster = new Cluster([{ host: '127.0.0.1', port: 1 }], {
      redisOptions: options,
      lazyConnect: true,
    }) as unknown as RedisClient
    assert.throws(() => redis(cluster), { code: 'invalid-option', message: /cannot use a client/ })
  }
})

if (canStartRedis()) {
  const server = await startRedis()
  const admin = new Redis(server.url)
  const given = new Redis(server.url)
  const stores: Store[] = []
  const storeOn = (target: string | RedisClient): Store => {
    const store = redis(target)
    stores.push(store)
    return store
  }
  after(async () => {
    for (const store of stores) await store.close()
    admin.disconnect()
    given.disconnect()
    await server.stop()
  })

  test('redis: an error of a call that the server refuses shows no input', async () => {
    for (const store of [storeOn(server.url), storeOn(given as unknown as RedisClient)]) {
      await store.setup()
      await admin.config('SET', 'maxmemory', '1mb')
      await assertSilent(store.insert([newJob({ input: JSON.stringify({ card }) })]), card)
      await admin.config('SET', 'maxmemory', '0')
    }
  })

  test('redis: an error of a wrong password shows no password', async () => {
    await admin.config('SET', 'requirepass', 'right')
    await admin.auth('right')
    const store = storeOn(`redis://:wrong-but-secret@127.0.0.1:${server.port}`)
    await assertSilent(store.insert([newJob()]), 'wrong-but-secret')
    await admin.config('SET', 'requirepass', '')
  })

  test('redis: an error keeps what tells why', async () => {
    await admin.config('SET', 'maxmemory', '1mb')
    await assert.rejects(storeOn(server.url).insert([newJob()]), (error: Error) => {
      assert.match((error.cause as Error).message, /^OOM/)
      assert.equal((error.cause as Error).name, 'ReplyError')
      assert.match(String((error.cause as Error).stack), /^ReplyError: OOM/)
      return true
    })
    await admin.config('SET', 'maxmemory', '0')
  })
}
