/** Records that are no records: whatever is written in their place, every call goes on, for all other jobs. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { Redis } from 'ioredis'
import { findRedis } from '../../../test/redis-server.ts'
import { redisHarness } from '../../../test/redis-harness.ts'
import {
  claimOf,
  counted,
  rescueOf,
  finish,
  hour,
  newJob,
  unique,
  workerOf,
} from '../../testing/conformance/jobs.ts'
import { packId } from './ids.ts'

const junk = [
  '',
  'junk',
  'P',
  'F',
  'F\n',
  'P\n',
  'F\nP\n',
  '\n\n\n',
  'Pa\tb\tc\td\te\tf\ng\nh',
  'F1\t2\n3',
]

const server = await findRedis()
if (server !== null) {
  after(() => server.stop())
  const client = new Redis(server.url)
  after(() => client.disconnect())
  for (const text of junk) {
    test(`redis: a record that is ${JSON.stringify(text)} stops no other job`, async (t) => {
      const fixture = await redisHarness([server.url]).create()
      t.after(() => fixture.dispose())
      const { store } = fixture
      const keysBefore = new Set(await client.keys('{test-*:j:*'))
      const jobs = [
        newJob(),
        newJob({ delayMs: hour, unique: unique('key') }),
        newJob({ priority: 5 }),
        newJob({ deadlineMs: 1_000 }),
        newJob({ needs: [{ kind: 'job', id: newJob().id, onFailed: 'run' }] }),
      ]
      await store.insert(jobs)
      const running = await store.claim(claimOf({ limit: 1 }))
      await store.insert([newJob({ queue: 'other' })])
      for (const key of await client.keys('{test-*:j:*')) {
        const isOurs = jobs.some(({ id }) => key.endsWith(packId(id)))
        if (!keysBefore.has(key) && isOurs) await client.set(key, text)
      }

      await fixture.advance(2 * hour)
      const good = newJob()
      await store.insert([good])
      const tended = await store.tend(workerOf())
      assert.equal(tended.ready, true)
      const claimed = await store.claim(claimOf({ maxLosses: 1_000, id: null }))
      const mine = claimed.jobs.find(({ id }) => id === good.id)
      assert.equal(mine?.why, 'ready')
      for (const job of claimed.jobs)
        assert.equal(job.why, job.id === good.id ? 'ready' : 'unreadable')
      const swept = await store.rescue(rescueOf({ tasks: ['task', ''] }))
      for (const job of swept.jobs) assert.equal(job.why, 'unreadable')
      const ends = [...claimed.jobs, ...swept.jobs].map((job) =>
        finish(job, { state: 'failed', reason: 'unreadable', counters: counted() }),
      )
      assert.ok((await store.settle(ends)).every((answer) => answer === 'settled'))
      const ids = jobs.map(({ id }) => id)
      // What has lines is taken for a record, of which the last is the text.
      const kept = text.split('\n').at(-1) ?? ''
      for (const job of await store.get(ids))
        assert.ok(job?.input.endsWith(kept) === true, job?.input ?? 'gone')
      assert.ok((await store.list({ limit: 100 })).jobs.length >= 1)
      await store.counts()
      await store.cancel(ids, null)
      await store.retry(ids)
      await store.prune({ limit: 100, cap: 1_000 })
      await store.take(ids)
      await store.remove(ids)
      assert.equal((await store.get([good.id]))[0]?.state, 'failed')
      assert.equal(running.jobs.length, 1)
    })
  }
}
