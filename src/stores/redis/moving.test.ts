/** Partitions that move between nodes of a cluster, or are not where they were. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { after, before, test, type TestContext } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { promisify } from 'node:util'
import { Redis } from 'ioredis'
import {
  canStartRedis,
  startCluster,
  startRedis,
  type RedisCluster,
} from '../../../test/redis-server.ts'
import { onPath } from '../../../test/services.ts'
import { isErrandError } from '../../core/errors.ts'
import type { ClaimedJob } from '../../store/job.ts'
import type { Store } from '../../store/store.ts'
import { claimOf, finish, newJob, unique } from '../../testing/conformance/jobs.ts'
import { makeClient, tend } from './client.ts'
import { redis } from './index.ts'

if (canStartRedis()) {
  let cluster: RedisCluster
  before(async () => {
    cluster = await startCluster()
  })
  after(() => cluster.stop())

  const nodeOf = (t: TestContext, index: number): Redis => {
    const node = new Redis(cluster.urls[index] ?? '')
    t.after(() => node.disconnect())
    return node
  }

  test('a redirection to a node that is dropped meanwhile ends no process', async (t) => {
    const client = await makeClient(cluster.urls)
    tend(client)
    t.after(() => client.disconnect())
    await client.connect()
    const [node] = client.nodes?.() ?? []
    assert.ok(node?.asking)
    node.disconnect()
    // As ioredis does it: nobody waits for it. A rejection that is not heard fails the test.
    void node.asking()
    await assert.rejects(node.info('server'), /Connection is closed|isn't writeable/)
    await setImmediate()
  })

  test('while a partition moves every call is refused, and afterwards nothing is missing', async (t) => {
    const store = redis(cluster.urls, { prefix: 'moving' })
    t.after(() => store.close())
    const jobs = Array.from({ length: 30 }, () => newJob())
    await store.insert(jobs)
    const claimed = (await store.claim(claimOf({ limit: 10 }))).jobs
    const masters = [0, 1, 2].map((index) => nodeOf(t, index))
    const slot = await masters[0]!.cluster('KEYSLOT', '{moving:0}:')
    const owner = Math.floor((slot * 3) / 16_384)
    const [from, to] = [masters[owner]!, masters[(owner + 1) % 3]!]
    const ids = [await from.cluster('MYID'), await to.cluster('MYID')] as const
    const toPort = new URL(cluster.urls[(owner + 1) % 3] ?? '').port
    const isRefused = async (when: string): Promise<void> => {
      const calls: readonly [name: string, call: () => Promise<unknown>][] = [
        ['insert', () => store.insert([newJob()])],
        ['claim', () => store.claim(claimOf())],
        ['settle', () => store.settle(claimed.map((job) => finish(job)))],
        ['get', () => store.get(jobs.map(({ id }) => id))],
        ['counts', () => store.counts()],
      ]
      await Promise.all(
        calls.map(([name, call]) =>
          assert.rejects(call, { code: 'store-unavailable' }, `${name} ${when}`),
        ),
      )
    }

    await to.cluster('SETSLOT', slot, 'IMPORTING', ids[0])
    await from.cluster('SETSLOT', slot, 'MIGRATING', ids[1])
    await isRefused('before the first key')
    let left = await from.cluster('COUNTKEYSINSLOT', slot)
    const half = Math.floor(left / 2)
    while (left > 0) {
      const [key = ''] = await from.cluster('GETKEYSINSLOT', slot, 1)
      await from.migrate('127.0.0.1', Number(toPort), key, 0, 5_000)
      left -= 1
      if (left === half) await isRefused('in the midst of it')
    }
    await isRefused('after the last key')
    await to.cluster('SETSLOT', slot, 'NODE', ids[1])
    // The node that it comes to has all of it now, whatever the other one still thinks.
    assert.deepEqual(await store.counts(), [
      { queue: 'queue', state: 'ready', count: 20 },
      { queue: 'queue', state: 'running', count: 10 },
    ])
    await from.cluster('SETSLOT', slot, 'NODE', ids[1])
    const answers = await store.settle(claimed.map((job) => finish(job)))
    assert.ok(answers.every((answer) => answer === 'settled'))
    const rest = (await store.claim(claimOf({ limit: 30 }))).jobs
    assert.deepEqual(
      [...claimed, ...rest].map(({ id }) => id),
      jobs.map(({ id }) => id),
    )
  })

  test('redis-cli moves partitions under load, and nothing is lost', async (t) => {
    const tool = onPath('redis-cli') ?? onPath('valkey-cli')
    assert.ok(tool !== null, 'redis-cli comes with the server')
    const [from, to] = [nodeOf(t, 0), nodeOf(t, 1)]
    const { prefix, slot } = await lowPrefix(from)
    const store = redis(cluster.urls, { prefix, partitions: 4 })
    t.after(() => store.close())
    await store.setup()
    const ids = await Promise.all([from, to].map((node) => node.cluster('MYID')))
    const load = loadOn(store)
    // The lowest slots move first.
    const args = ['--cluster-from', ids[0] ?? '', '--cluster-to', ids[1] ?? '', '--cluster-yes']
    const first = `127.0.0.1:${new URL(cluster.urls[0] ?? '').port}`
    const slots = ['--cluster-slots', String(slot + 1)]
    await promisify(execFile)(tool, ['--cluster', 'reshard', first, ...args, ...slots], {
      maxBuffer: 64 * 1_024 * 1_024,
    })
    const { acknowledged, finished } = await load.end()
    assert.ok(acknowledged.size > 0)
    assert.ok((await to.cluster('COUNTKEYSINSLOT', slot)) > 0)
    const found = await store.get([...acknowledged])
    assert.deepEqual(
      found.filter((job) => job?.state !== 'completed').map((job) => job?.state),
      [],
    )
    for (const id of acknowledged) assert.ok(finished.has(id), id)
  })

  test('a partition without its meta is refused by everybody, written by nobody, and used again once it is back', async (t) => {
    const server = await startRedis()
    const admin = new Redis(server.url)
    const options = { prefix: 'lost', partitions: 2 }
    const [store, other] = [redis(server.url, options), redis(server.url, options)]
    t.after(async () => {
      admin.disconnect()
      await Promise.all([store.close(), other.close()])
      await server.stop()
    })
    await store.insert(Array.from({ length: 20 }, () => newJob()))
    const meta = await admin.dumpBuffer('{lost:1}:meta')
    await admin.del('{lost:1}:meta')
    const keys = (await admin.keys('{lost:1}:*')).toSorted()
    for (const one of [store, store, other]) {
      await assert.rejects(one.insert(Array.from({ length: 20 }, () => newJob())), (error) =>
        isErrandError(error, 'store-unavailable'),
      )
    }
    assert.deepEqual((await admin.keys('{lost:1}:*')).toSorted(), keys)
    await admin.restore('{lost:1}:meta', 0, meta)
    await store.insert([newJob()])
    assert.equal((await other.claim(claimOf({ limit: 9 }))).jobs.length, 9)
  })

  test('no call changes anything where there is no meta', async (t) => {
    const server = await startRedis()
    const admin = new Redis(server.url)
    const store = redis(server.url)
    t.after(async () => {
      admin.disconnect()
      await store.close()
      await server.stop()
    })
    await store.insert(Array.from({ length: 4 }, () => newJob()))
    const { jobs } = await store.claim(claimOf({ limit: 2 }))
    await admin.del('{errand:0}:meta')
    const keys = await admin.dbsize()
    const calls = [
      () => store.insert([newJob()]),
      () => store.claim(claimOf()),
      () => store.settle(jobs.map((job) => finish(job))),
      () => store.renew(jobs, 60_000),
      () => store.get(jobs.map(({ id }) => id)),
    ]
    // All at once, before the first refusal makes the store look at its layout.
    await Promise.all(calls.map((call) => assert.rejects(call, { code: 'store-unavailable' })))
    assert.equal(await admin.dbsize(), keys)
    assert.equal(await admin.hlen('{errand:0}:running'), 1 + jobs.length)
  })

  test('a server that lost all its data is a new store', async (t) => {
    const server = await startRedis()
    const admin = new Redis(server.url)
    const store = redis(server.url, { partitions: 3 })
    t.after(async () => {
      admin.disconnect()
      await store.close()
      await server.stop()
    })
    await store.insert([newJob()])
    await admin.flushall()
    await assert.rejects(store.insert([newJob()]), { code: 'store-unavailable' })
    await store.insert([newJob()])
    assert.equal((await store.claim(claimOf())).jobs.length, 1)
  })

  test('messages to another partition arrive though a fail-over took back the numbers of the last ones', async (t) => {
    const server = await startRedis()
    const admin = new Redis(server.url)
    const store = redis(server.url, { prefix: 'back', partitions: 2 })
    t.after(async () => {
      admin.disconnect()
      await store.close()
      await server.stop()
    })
    const send = async (round: number): Promise<void> => {
      await store.insert(Array.from({ length: 20 }, () => newJob({ queue: 'parents' })))
      const { jobs } = await store.claim(claimOf({ queues: [{ name: 'parents', limit: 20 }] }))
      const followUps = jobs.map((job, n) =>
        newJob({ parent: job.id, unique: unique(`${round}-${n}`) }),
      )
      await store.settle(
        jobs.map((job, n) => finish(job, { followUps: followUps.slice(n, n + 1) })),
      )
      const found = await store.get(followUps.map(({ id }) => id))
      assert.equal(found.filter((job) => job !== null).length, followUps.length)
    }
    const counters = [
      ['{back:0}:meta', 'sent:1'],
      ['{back:1}:meta', 'sent:0'],
    ] as const
    await send(1)
    const before = await Promise.all(counters.map(([key, field]) => admin.hget(key, field)))
    await send(2)
    assert.ok(before.every((number) => number !== null))
    for (const [n, [key, field]] of counters.entries())
      await admin.hset(key, field, before[n] ?? '')
    await send(3)
  })
}

/** A prefix of which one of four partitions lies in one of the first slots. */
async function lowPrefix(node: Redis): Promise<{ readonly prefix: string; readonly slot: number }> {
  for (let n = 0; n < 1_000; n += 1) {
    const prefix = `resharded-${n}`
    const keys = [0, 1, 2, 3].map((index) => `{${prefix}:${index}}:`)
    const slots = await Promise.all(keys.map((key) => node.cluster('KEYSLOT', key)))
    const slot = Math.min(...slots)
    if (slot < 80) return { prefix, slot }
  }
  throw new Error('no prefix has a partition in the first slots')
}

/** Inserts, claims and settles until it is ended; calls that are refused are made again. */
function loadOn(store: Store): {
  end(): Promise<{ acknowledged: ReadonlySet<string>; finished: ReadonlySet<string> }>
} {
  const acknowledged = new Set<string>()
  const finished = new Set<string>()
  const over = new AbortController()
  /** Nothing is inserted any more. */
  const produced = new AbortController()
  const refusedOr = async (call: () => Promise<void>): Promise<void> => {
    try {
      await call()
    } catch (error) {
      const isRefused = isErrandError(error, 'store-unavailable')
      if (!isRefused && !isErrandError(error, 'unknown-outcome')) throw error
    }
  }
  const produce = async (): Promise<void> => {
    while (!over.signal.aborted) {
      const jobs = [newJob(), newJob()]
      await refusedOr(async () => {
        await store.insert(jobs)
        for (const { id } of jobs) acknowledged.add(id)
      })
    }
  }
  const settleAll = async (jobs: readonly ClaimedJob[]): Promise<void> => {
    while (jobs.some(({ id }) => !finished.has(id))) {
      await refusedOr(async () => {
        await store.settle(jobs.map((job) => finish(job)))
        for (const { id } of jobs) finished.add(id)
      })
    }
  }
  const work = async (): Promise<void> => {
    const idle = { claims: 0 }
    while (idle.claims < 5) {
      await refusedOr(async () => {
        const isLast = produced.signal.aborted
        const { jobs } = await store.claim(claimOf({ limit: 20 }))
        idle.claims = isLast && jobs.length === 0 ? idle.claims + 1 : 0
        for (const { id } of jobs) assert.ok(!finished.has(id), `${id} ran twice`)
        await settleAll(jobs)
      })
    }
  }
  const loops = [produce().finally(() => produced.abort()), work()]
  return {
    async end() {
      over.abort()
      await Promise.all(loops)
      return { acknowledged, finished }
    },
  }
}
