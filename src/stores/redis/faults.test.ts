import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { Redis } from 'ioredis'
import { canStartRedis, startRedis, type RedisServer } from '../../../test/redis-server.ts'
import type { Store } from '../../store/store.ts'
import { claimOf, finish, leaseMs, newJob, workerOf } from '../../testing/conformance/jobs.ts'
import { redis, type RedisClient } from './index.ts'

const servers: RedisServer[] = []
const stores: Store[] = []
const clients: Redis[] = []

async function serve(...args: readonly string[]): Promise<RedisServer> {
  const server = await startRedis(...args)
  servers.push(server)
  return server
}

function storeOn(target: string | readonly string[] | RedisClient): Store {
  const store = redis(target)
  stores.push(store)
  return store
}

function clientOf(url: string): Redis {
  const client = new Redis(url)
  client.on('error', () => undefined)
  clients.push(client)
  return client
}

if (canStartRedis()) {
  after(async () => {
    for (const store of stores) await store.close()
    for (const client of clients) client.disconnect()
    await Promise.all(servers.map((server) => server.stop()))
  })

  const shared = await serve()
  const admin = clientOf(shared.url)

  test('scripts that the server forgot are sent again', async () => {
    const store = storeOn(shared.url)
    await store.insert([newJob()])
    await admin.script('FLUSH')
    assert.equal((await store.claim(claimOf())).jobs.length, 1)
    await admin.script('FLUSH')
    assert.deepEqual((await store.insert([newJob()])).length, 1)
  })

  test('a call whose connection breaks is sent again when the connection is back, and an insert adds nothing twice', async () => {
    await admin.flushall()
    const store = storeOn(shared.url)
    await store.setup()
    await admin.call('CLIENT', 'PAUSE', '300', 'WRITE')
    const job = newJob()
    const inserted = store.insert([job])
    await admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
    assert.deepEqual(await inserted, [{ id: job.id, status: 'created', token: null }])
    assert.equal((await store.claim(claimOf())).jobs.length, 1)
  })

  test('a server that is killed and comes back with its append-only file has every acknowledged job', async () => {
    const server = await serve('--appendonly', 'yes', '--appendfsync', 'always')
    const store = storeOn(server.url)
    const jobs = Array.from({ length: 200 }, () => newJob())
    await store.insert(jobs)
    const { jobs: claimed } = await store.claim(claimOf({ limit: 50 }))
    const answers = await store.settle(claimed.slice(0, 20).map((job) => finish(job)))
    assert.ok(answers.every((answer) => answer === 'settled'))
    await server.kill()
    await assert.rejects(store.claim(claimOf()), { code: 'store-unavailable' })
    await server.start()
    await eventually(() => store.setup())
    const found = await store.get(jobs.map(({ id }) => id))
    assert.equal(found.filter((job) => job?.state === 'completed').length, 20)
    assert.equal(found.filter((job) => job?.state === 'running').length, 30)
    const after = await store.claim(claimOf())
    assert.equal(after.jobs.length, 150)
    assert.ok((after.jobs[0]?.token ?? 0) > (claimed[0]?.token ?? 0))
    assert.deepEqual(await store.renew(claimed.slice(20, 21), leaseMs), ['renewed'])
    assert.match(store.info.durability, /power failure \(appendfsync always\)/)
  })

  test('nobody at the address is store-unavailable, soon', async () => {
    const store = storeOn('redis://127.0.0.1:1')
    const start = performance.now()
    await assert.rejects(store.insert([newJob()]), {
      code: 'store-unavailable',
      message: /ECONNREFUSED/,
    })
    assert.ok(performance.now() - start < 8_000)
  })

  test('a cluster of which no node answers is store-unavailable, soon', async () => {
    const store = storeOn(['redis://127.0.0.1:1', 'redis://127.0.0.1:2'])
    const start = performance.now()
    await assert.rejects(store.insert([newJob()]), { code: 'store-unavailable' })
    assert.ok(performance.now() - start < 8_000)
  })

  test('a client that was handed in, and would wait for ever, is not waited for', async () => {
    const server = await serve()
    const client = new Redis(server.url, { maxRetriesPerRequest: null, retryStrategy: () => 20 })
    client.on('error', () => undefined)
    clients.push(client)
    const store = storeOn(client as unknown as RedisClient)
    await store.setup()
    await server.kill()
    await eventually(async () => assert.notEqual(client.status, 'ready'))
    await assert.rejects(store.claim(claimOf()), { code: 'store-unavailable' })
    await server.start()
    await eventually(() => store.claim(claimOf()))
  })

  test('a database that the server does not have is refused, and database 0 left alone', async () => {
    const server = await serve('--databases', '2')
    const store = storeOn(`${server.url}/7`)
    for (let n = 0; n < 2; n += 1) {
      await assert.rejects(store.insert([newJob()]), {
        code: 'store-unavailable',
        message: /no database of this number/,
      })
    }
    assert.deepEqual(await clientOf(server.url).keys('*'), [])
    const other = storeOn(`${server.url}/1`)
    await other.insert([newJob()])
  })

  test('a wrong password and none are told apart from a server that is away', async () => {
    const server = await serve('--requirepass', 'secret')
    const wrong = storeOn(server.url.replace('//', '//:wrong@'))
    await assert.rejects(wrong.setup(), { code: 'store-unavailable', message: /password/ })
    await assert.rejects(storeOn(server.url).setup(), {
      code: 'store-unavailable',
      message: /password/,
    })
    const right = storeOn(server.url.replace('//', '//:secret@'))
    await right.setup()
    assert.doesNotMatch(right.info.location, /secret/)
  })

  test('a user who may not run scripts is told what to grant, and recovers once it is granted', async () => {
    const server = await serve()
    const client = clientOf(server.url)
    await client.call('ACL', 'SETUSER', 'poor', 'on', '>pw', '~*', '&*', '+@all', '-@scripting')
    const store = storeOn(server.url.replace('//', '//poor:pw@'))
    await assert.rejects(store.insert([newJob()]), {
      code: 'store-unavailable',
      message: /scripts/,
    })
    await client.call('ACL', 'SETUSER', 'poor', '+@scripting')
    assert.equal((await store.insert([newJob()])).length, 1)
  })

  test('a replica refuses, by its name', async () => {
    const replica = await serve('--replicaof', '127.0.0.1', String(shared.port))
    const client = clientOf(replica.url)
    await eventually(async () => {
      assert.match(await client.info('replication'), /master_link_status:up/)
    })
    await assert.rejects(storeOn(replica.url).insert([newJob()]), {
      code: 'store-unavailable',
      message: /read-only replica/,
    })
  })

  test('a full memory refuses new jobs and nothing else: claims and settlements go on, and it recovers', async () => {
    const server = await serve('--maxmemory-policy', 'noeviction')
    const client = clientOf(server.url)
    const store = storeOn(server.url)
    const batch = (): ReturnType<typeof newJob>[] =>
      Array.from({ length: 100 }, () => newJob({ input: JSON.stringify('x'.repeat(1_000)) }))
    await store.insert(batch())
    await client.config('SET', 'maxmemory', '1mb')
    await assert.rejects(store.insert(batch()), { code: 'store-unavailable', message: /maxmemory/ })
    await assert.rejects(store.insert([newJob({ delayMs: 5 })]), { code: 'store-unavailable' })
    const { jobs } = await store.claim(claimOf({ limit: 60 }))
    assert.equal(jobs.length, 60)
    const answers = await store.settle(jobs.map((job) => finish(job, { keepMs: 0 })))
    assert.ok(answers.every((answer) => answer === 'settled'))
    await client.config('SET', 'maxmemory', '0')
    await store.insert(batch())
    assert.deepEqual(await store.counts(), [{ queue: 'queue', state: 'ready', count: 140 }])
  })

  test('an evicting maxmemory-policy is warned of, loudly, and what survives is said plainly', async () => {
    const server = await serve('--maxmemory-policy', 'allkeys-lru')
    const store = storeOn(server.url)
    assert.match(store.info.durability, /once connected/)
    await store.setup()
    assert.match(store.info.durability, /nothing survives a killed server/)
    const [persistence, eviction, ...others] = await store.warnings('ask')
    assert.match(persistence?.text ?? '', /keeps nothing on disk/)
    assert.match(eviction?.text ?? '', /maxmemory-policy is allkeys-lru: REDIS MAY THROW JOBS AWAY/)
    assert.deepEqual(others, [])
    const safe = storeOn((await serve('--appendonly', 'yes')).url)
    await safe.setup()
    assert.equal(
      safe.info.durability,
      'survives a killed server (append-only file), but for two seconds if its disk is slow; a power failure may take these (appendfsync everysec)',
    )
    assert.deepEqual(await safe.warnings('ask'), [])
  })

  test('a store that newer code laid out is refused', async () => {
    const server = await serve()
    await clientOf(server.url).hset('{errand:0}:meta', { layout: '99', partitions: '1' })
    await assert.rejects(storeOn(server.url).setup(), { code: 'store-too-new' })
  })

  test('a client that was handed in is used and neither closed nor subscribed', async () => {
    const client = clientOf(shared.url)
    const store = redis(client as unknown as RedisClient)
    assert.equal(store.connector, null)
    const heard = new Promise((resolve) => store.watch(resolve))
    await store.insert([newJob()])
    await heard
    await store.close()
    assert.equal(await client.ping(), 'PONG')
  })

  test('a store that is watched has two connections, however many calls it makes', async () => {
    const server = await serve()
    const client = clientOf(server.url)
    const store = storeOn(server.url)
    store.watch(() => undefined)
    await Promise.all(Array.from({ length: 50 }, () => store.insert([newJob()])))
    const connections = String(await client.client('LIST'))
      .trim()
      .split('\n').length
    assert.equal(connections - 1, 2)
  })

  test('an idle store, watched or not, does not keep its process alive, and a call under way does', async () => {
    const program = `
    import { redis } from ${JSON.stringify(new URL('index.ts', import.meta.url).href)}
    const store = redis(${JSON.stringify(shared.url)}, { prefix: 'alone' })
    store.watch(() => undefined)
    console.log((await store.tend(${JSON.stringify(workerOf())})).ready)
    await store.counts()
    console.log('end')`
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--input-type=module', '--eval', program],
      { timeout: 20_000 },
    )
    assert.equal(stdout, 'false\nend\n')
  })

  test('a waiting job of 250 bytes takes at most 496 bytes', async () => {
    const server = await serve()
    const client = clientOf(server.url)
    const store = storeOn(server.url)
    await store.setup()
    const used = async (): Promise<number> =>
      Number(/used_memory:(\d+)/.exec(await client.info('memory'))?.[1])
    const before = await used()
    const input = JSON.stringify({ id: 1, to: 'user@example.com', body: 'x'.repeat(208) })
    assert.equal(input.length, 250)
    const jobs = 50_000
    for (let made = 0; made < jobs; made += 1_000) {
      await store.insert(
        Array.from({ length: 1_000 }, () => newJob({ input, keepCancelledMs: 86_400_000 })),
      )
    }
    const each = ((await used()) - before) / jobs
    assert.ok(each <= 496, `${each} bytes`)
  })
}

async function eventually(holds: () => Promise<unknown>): Promise<void> {
  const end = performance.now() + 15_000
  for (;;) {
    try {
      await holds()
      return
    } catch (error) {
      if (performance.now() > end) throw error
      await sleep(50)
    }
  }
}
