import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { Redis } from 'ioredis'
import { canStartRedis, startRedis } from '../../../test/redis-server.ts'
import {
  requeue,
  claimOf,
  rescueOf,
  finish,
  newJob,
  workerOf,
} from '../../testing/conformance/jobs.ts'
import { redis } from './index.ts'

if (canStartRedis()) {
  const server = await startRedis()
  const admin = new Redis(server.port, '127.0.0.1')
  after(async () => {
    admin.disconnect()
    await server.stop()
  })

  for (const partitions of [1, 4]) {
    test(`a batch of any size goes through scripts of 1,000 items at most, in ${partitions} partitions`, async (t) => {
      const store = redis(server.url, { prefix: `sizes-${partitions}`, partitions })
      t.after(() => store.close())
      const jobs = Array.from({ length: 9_500 }, () => newJob())
      const inserted = await store.insert(jobs)
      assert.deepEqual(
        inserted.map(({ id }) => id),
        jobs.map(({ id }) => id),
      )
      const claimed = []
      while (claimed.length < jobs.length) {
        const { jobs: some } = await store.claim(claimOf({ limit: 9_500 }))
        assert.ok(some.length > 0 && some.length <= 1_000 * partitions)
        claimed.push(...some)
      }
      const answers = await store.settle(claimed.map((job) => finish(job)))
      assert.deepEqual(new Set(answers), new Set(['settled']))
      const found = await store.get(jobs.map(({ id }) => id))
      assert.ok(found.every((job, n) => job?.state === 'completed' && job.id === jobs[n]?.id))
      assert.deepEqual(await store.counts(), [
        { queue: 'queue', state: 'completed', count: jobs.length },
      ])
    })
  }

  test('a log of insertions is gone when its jobs are', async (t) => {
    const store = redis(server.url, { prefix: 'log' })
    t.after(() => store.close())
    const jobs = Array.from({ length: 1_000 }, () => newJob())
    await store.insert(jobs)
    await store.remove(jobs.map(({ id }) => id))
    assert.deepEqual(await admin.keys('{log:0}:log:*'), [])
    assert.equal(await admin.exists('{log:0}:gone', '{log:0}:chunks'), 0)
  })

  test('leases of a claim end together until one is renewed, and leave nothing behind when they are over', async (t) => {
    const prefix = 'together'
    const store = redis(server.url, { prefix })
    t.after(() => store.close())
    await store.insert(Array.from({ length: 8 }, () => newJob()))
    const { jobs } = await store.claim(claimOf({ limit: 8, leaseMs: 300 }))
    const [renewed, noted, asked, settled, failed, ...left] = jobs
    assert.ok(renewed && noted && asked && settled && failed && left.length === 3)
    assert.equal(await admin.zcard(`{${prefix}:0}:leases`), 0)
    await store.renew([renewed], 60_000)
    await store.note([
      { id: noted.id, token: noted.token, kind: 'log', agoMs: 0, level: 'info', text: '' },
    ])
    await store.cancel([asked.id], null)
    await store.settle([finish(settled)])
    await store.settle([finish(failed, { state: 'failed', attempt: 'no' })])
    await new Promise((resolve) => setTimeout(resolve, 350))
    const swept = await store.rescue(rescueOf({ limit: 2 }))
    const rest = await store.rescue(rescueOf({ limit: 9 }))
    assert.equal(swept.jobs.length, 2)
    assert.deepEqual(
      [...swept.jobs, ...rest.jobs].map(({ id }) => id).toSorted(),
      [noted, asked, ...left].map(({ id }) => id).toSorted(),
    )
    const lost = [...swept.jobs, ...rest.jobs]
    assert.deepEqual(
      lost.filter(({ cancelAsked }) => cancelAsked).map(({ id }) => id),
      [asked.id],
    )
    const ended = [renewed, ...lost].map((job) => finish(job))
    assert.deepEqual(new Set(await store.settle(ended)), new Set(['settled']))
    await store.insert(Array.from({ length: 4 }, () => newJob()))
    const [first, ...others] = (await store.claim(claimOf({ limit: 4 }))).jobs
    assert.ok(first)
    await store.settle([requeue(first, { delayMs: 60_000 })])
    assert.equal(await admin.zcard(`{${prefix}:0}:claims`), 1)
    await store.settle(others.map((job) => finish(job)))
    const keys = await admin.keys(`{${prefix}:0}:cl*`)
    assert.deepEqual(keys, [])
    assert.equal(await admin.zcard(`{${prefix}:0}:leases`), 0)
  })

  test('outputs come back as they were, whatever they are made of and whatever is settled beside them', async (t) => {
    const store = redis(server.url, { prefix: 'outputs' })
    t.after(() => store.close())
    const outputs = ['{"ok":1}', '', null, 'two\nlines', '\n', '12', '"é"', 'f\t1\ty', '{"ok":2}']
    const plain = outputs.filter((output) => output === null || /^[^\né]*$/.test(output))
    for (const some of [outputs, plain, outputs.toReversed()]) {
      await store.insert(some.map(() => newJob()))
      const { jobs } = await store.claim(claimOf({ limit: some.length }))
      const settlements = jobs.map((job, n) => finish(job, { output: some[n] ?? null }))
      assert.deepEqual(new Set(await store.settle(settlements)), new Set(['settled']))
      const found = await store.get(jobs.map(({ id }) => id))
      assert.deepEqual(
        found.map((job) => job?.output),
        some,
      )
    }
  })

  test('no call walks the keys of the server', async (t) => {
    const store = redis(server.url, { prefix: 'walks' })
    t.after(() => store.close())
    await admin.config('RESETSTAT')
    const jobs = Array.from({ length: 20 }, () => newJob())
    await store.insert(jobs)
    const { jobs: claimed } = await store.claim(claimOf({ limit: 10 }))
    await store.settle(claimed.map((job, n) => (n < 5 ? finish(job) : requeue(job))))
    await store.rescue(rescueOf())
    await store.tend(workerOf())
    await store.prune({ limit: 100, cap: 1 })
    await store.cancel([jobs[15]?.id ?? ''], null)
    await store.retry([jobs[15]?.id ?? ''])
    await store.list({ limit: 10 })
    await store.counts()
    const stats = await admin.info('commandstats')
    assert.match(stats, /cmdstat_evalsha/)
    assert.doesNotMatch(stats, /cmdstat_(keys|scan|hscan|sscan|zscan):/)
  })
}
