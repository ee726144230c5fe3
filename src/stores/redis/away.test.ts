/** Partitions that fail while others answer, as those of one master of a cluster do. */
import assert from 'node:assert/strict'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { canStartRedis, startRedis } from '../../../test/redis-server.ts'
import { tcpProxy } from '../../../test/tcp-proxy.ts'
import { isErrandError } from '../../core/errors.ts'
import type { Claimed } from '../../store/worker-calls.ts'
import type { InsertOptions } from '../../store/intake.ts'
import type { ClaimedJob, NewJob } from '../../store/job.ts'
import { claimOf, rescueOf, finish, newJob, unique } from '../../testing/conformance/jobs.ts'
import { redis } from './index.ts'

if (canStartRedis()) {
  const server = await startRedis()
  const admin = new Redis(server.port, '127.0.0.1')
  admin.on('error', () => undefined)
  after(async () => {
    admin.disconnect()
    await server.stop()
  })

  /** Only the keys of the first partition may be used, or all. */
  const keysOf = { first: '~{errand:0}*', all: '~*' } as const
  const allow = (keys: keyof typeof keysOf): Promise<unknown> =>
    admin.acl('SETUSER', 'poor', 'on', '>pw', 'resetkeys', '&*', '+@all', keysOf[keys])

  test('jobs that were claimed from one partition come to the caller though another one fails', async () => {
    await allow('all')
    const store = redis(server.url.replace('//', '//poor:pw@'), { partitions: 2 })
    after(() => store.close())
    await store.insert(Array.from({ length: 100 }, () => newJob()))
    await allow('first')
    const first = await failingAtMostOnce(() => store.claim(claimOf({ limit: 100, leaseMs: 1 })))
    const other = redis(server.url, { partitions: 2 })
    const running = await other.counts()
    await other.close()
    assert.ok(first.jobs.length > 0)
    assert.equal(running.find(({ state }) => state === 'running')?.count, first.jobs.length)

    const rescued = await failingAtMostOnce(() => store.rescue(rescueOf({ limit: 100 })))
    assert.equal(rescued.jobs.length, first.jobs.length)

    await allow('all')
    const end = performance.now() + 10_000
    let claimed = first.jobs.length
    while (claimed < 100 && performance.now() < end) {
      claimed += (await store.claim(claimOf({ limit: 100 }))).jobs.length
      await sleep(50)
    }
    assert.equal(claimed, 100)
  })

  test('an insert that is sent again when its job has ended and is forgotten makes no second one', async (t) => {
    const proxy = await tcpProxy(server.port)
    t.after(() => proxy.close())
    const store = redis(`redis://127.0.0.1:${proxy.port}`, { prefix: 'requeue' })
    const other = redis(server.url, { prefix: 'requeue' })
    t.after(() => Promise.all([store.close(), other.close()]))
    await Promise.all([store.setup(), other.setup()])
    for (const kind of ['plain', 'unique', 'advance'] as const) {
      const over = kind === 'unique' ? { unique: unique('k') } : {}
      const moved = (from: string | null, to: string, { id }: NewJob): InsertOptions =>
        kind === 'advance' ? { advance: [{ key: 'record', from, to, jobs: [id] }] } : {}
      // One of its kind goes before, so that the server knows the script: it would ask for its text.
      const first = newJob({ queue: 'first', ...over })
      await store.insert([first], moved(null, '1', first))
      await other.remove([first.id])
      const job = newJob(over)
      proxy.swallowAnswers()
      const inserting = store.insert([job], moved('1', '2', job))
      const end = performance.now() + 10_000
      let claimed: readonly ClaimedJob[] = []
      while (claimed.length === 0 && performance.now() < end) {
        claimed = (await other.claim(claimOf())).jobs
        await sleep(10)
      }
      assert.deepEqual(await other.settle(claimed.map((one) => finish(one, { keepMs: 0 }))), [
        'settled',
      ])
      proxy.recover()
      proxy.cut()
      assert.deepEqual(await inserting, [{ id: job.id, status: 'created', token: null }])
      assert.deepEqual(await other.counts(), [])
    }
  })

  test('a connection that falls silent as it subscribes again ends no process when the store is closed', async (t) => {
    const proxy = createServer()
    const sockets = new Set<Socket>()
    let isDeaf = false
    const silenced = new Promise<void>((resolve) => {
      proxy.on('connection', (client: Socket) => {
        const upstream = connect(server.port, '127.0.0.1')
        for (const socket of [client, upstream]) sockets.add(socket.on('error', () => {}))
        client.on('data', (data) => {
          const subscribes = /subscribe/i.test(data.toString('latin1'))
          if (isDeaf && subscribes) return resolve()
          upstream.write(data)
        })
        upstream.on('data', (data) => client.write(data))
        client.on('close', () => upstream.destroy())
      })
    })
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
    t.after(() => proxy.close())
    const store = redis(`redis://127.0.0.1:${(proxy.address() as AddressInfo).port}`)
    let heard = (): void => {}
    store.watch(() => heard())
    await new Promise<void>((resolve) => {
      heard = resolve
    })
    isDeaf = true
    for (const socket of sockets) socket.destroy()
    await silenced
    // A rejection that nobody hears of fails this test.
    await store.close()
    await sleep(200)
  })
}

/** A call that begins with the partition that fails rejects; the next one knows. */
async function failingAtMostOnce<T extends Claimed>(call: () => Promise<T>): Promise<T> {
  try {
    return await call()
  } catch (error) {
    assert.ok(isErrandError(error, 'store-unavailable'), String(error))
    return call()
  }
}
