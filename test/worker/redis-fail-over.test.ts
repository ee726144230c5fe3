/** Connections to Redis that lead to the wrong server or nowhere: every part of a process comes back by itself, within five seconds. */
import assert from 'node:assert/strict'
import test, { type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createErrand, task, type Errand } from 'errand'
import { redis, type RedisClient } from 'errand/redis'
import { Redis } from 'ioredis'
import { claimOf, newJob } from '../../src/testing/conformance/jobs.ts'
import { startPair } from '../redis-pair.ts'
import { canStartRedis, startRedis } from '../redis-server.ts'
import { tcpProxy } from '../tcp-proxy.ts'
import { gate } from './harness.ts'

const backWithinMs = 5_000
const patienceMs = 30_000
const brief = task({ name: 'brief', run: () => 'done' })

if (canStartRedis()) {
  test('producer, worker, renewer and subscription go on with the new master behind the address', async (t) => {
    const pair = await startPair('--appendonly', 'yes')
    const proxy = await tcpProxy(pair.master.port)
    const crew = await atWork(t, `redis://127.0.0.1:${proxy.port}`)
    t.after(async () => {
      await proxy.close()
      await pair.stop()
    })
    for (let switched = 0; switched < 2; switched += 1) {
      await pair.switchOver(({ port }) => proxy.aim(port))
      await crew.comesBack(pair.master.port, `switch ${switched + 1}`)
    }
    await crew.ends()
  })

  test('a connection to a host that vanished is left, and another one made', async (t) => {
    const server = await startRedis()
    const proxy = await tcpProxy(server.port)
    const crew = await atWork(t, `redis://127.0.0.1:${proxy.port}`)
    t.after(async () => {
      await proxy.close()
      await server.stop()
    })
    proxy.fallSilent()
    proxy.recover()
    await crew.comesBack(server.port, 'vanished')
    await crew.ends()
  })

  test('every part comes back from a black hole, and nothing that was given up in it is carried out', async (t) => {
    const server = await startRedis()
    const proxy = await tcpProxy(server.port)
    const url = `redis://127.0.0.1:${proxy.port}`
    const crew = await atWork(t, url)
    const store = redis(url)
    t.after(async () => {
      await store.close()
      await proxy.close()
      await server.stop()
    })
    await store.setup()
    proxy.fallSilent()
    const readings = [crew.app.jobs.counts(), crew.app.queues.list()].map((one) =>
      one.then(
        () => null,
        (error: unknown) => error,
      ),
    )
    const job = newJob({ queue: 'given up' })
    await Promise.all([
      assert.rejects(store.insert([job]), { code: 'unknown-outcome' }),
      assert.rejects(store.claim(claimOf()), { code: 'store-unavailable' }),
    ])
    proxy.recover()
    await crew.comesBack(server.port, 'black hole')
    for (const reading of readings) assert.ok((await reading) !== null)
    // All that a queue of the client would have held has been sent by the end of this call.
    await store.counts()
    assert.deepEqual(await store.get([job.id]), [null])
    await crew.ends()
  })

  test('a client that was handed in reaches the new master, and is as open as before', async (t) => {
    const pair = await startPair()
    const proxy = await tcpProxy(pair.master.port)
    const client = new Redis(proxy.port, '127.0.0.1')
    client.on('error', () => undefined)
    const store = redis(client as unknown as RedisClient)
    t.after(async () => {
      await store.close()
      client.disconnect()
      await proxy.close()
      await pair.stop()
    })
    await store.insert([newJob()])
    await pair.switchOver(({ port }) => proxy.aim(port))
    await within('an insert', () => store.insert([newJob()]))
    proxy.fallSilent()
    proxy.recover()
    await within('another insert', () => store.insert([newJob()]))
    assert.equal((await store.counts()).at(0)?.count, 3)
    assert.equal(await client.ping(), 'PONG')
  })
}

interface Crew {
  readonly app: Errand
  /** Resolves when all parts work with the server of a port; rejects when that takes longer than it may. */
  comesBack(port: number, what: string): Promise<void>
  /** Ends the job that ran all the while, and checks that nobody took it for lost. */
  ends(): Promise<void>
}

/** A producer and a worker with a thread that renews the lease of a job, which runs until the end. */
async function atWork(t: TestContext, url: string): Promise<Crew> {
  const end = gate()
  const lasting = task({
    name: 'lasting',
    timeout: '1h',
    run: async () => {
      await end.promise
      return 'lasted'
    },
  })
  const app = createErrand({ store: redis(url), tasks: [brief, lasting], lease: '3s' })
  t.after(() => app.close())
  const worker = app.worker()
  await worker.start()
  assert.equal(worker.status.renewer, 'thread')
  const job = await app.enqueue(lasting)
  await eventually('the job to run', async () => Boolean((await app.jobs.get(job.id))?.startedAt))
  return {
    app,
    async comesBack(port, what) {
      const direct = new Redis(port, '127.0.0.1')
      const before = await leaseUntil(direct)
      const renewed = (): Promise<void> =>
        eventually(`${what}: a renewal`, async () => (await leaseUntil(direct)) > before)
      const subscribed = (): Promise<void> =>
        eventually(`${what}: a subscription`, async () => {
          const [, count] = (await direct.pubsub('NUMSUB', '{errand}:hints')) as [string, number]
          return count > 0
        })
      try {
        await Promise.all([
          within(`${what}: a job`, async () => (await app.enqueue(brief)).result()),
          within(`${what}: a subscription`, subscribed),
          within(`${what}: a renewal`, renewed),
        ])
      } finally {
        direct.disconnect()
      }
    },
    async ends() {
      end.resolve()
      assert.equal(await job.result({ timeout: '30s' }), 'lasted')
      const record = await app.jobs.get(job.id)
      assert.deepEqual([record?.attempts, record?.losses], [1, 0])
    },
  }
}

/** When the lease of the job that lasts ends, as the server has it. */
async function leaseUntil(client: Redis): Promise<number> {
  const leases = await client.hvals('{errand:0}:running')
  return Math.max(...leases.map((lease) => Number(lease.split('\t')[1] ?? 0)))
}

async function within<T>(what: string, call: () => Promise<T>): Promise<T> {
  const from = performance.now()
  const answer = await call()
  const tookMs = Math.round(performance.now() - from)
  assert.ok(tookMs <= backWithinMs, `${what} took ${tookMs} ms`)
  return answer
}

async function eventually(what: string, holds: () => Promise<boolean>): Promise<void> {
  const until = performance.now() + patienceMs
  while (!(await holds().catch(() => false))) {
    if (performance.now() > until) assert.fail(`waited too long for ${what}`)
    await sleep(20)
  }
}
