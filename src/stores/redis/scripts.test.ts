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
  unique,
  workerOf,
} from '../../testing/conformance/jobs.ts'
import type { ClaimedJob, NewJob } from '../../store/job.ts'
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

  test('the jobs of an advance go into one script, however many they are', async (t) => {
    const store = redis(server.url, { prefix: 'undivided' })
    t.after(() => store.close())
    for (const isLate of [false, true]) {
      const jobs = Array.from({ length: 3_000 }, (_, n) =>
        newJob({ group: n % 3 === 0 ? 'g' : null, priority: n % 5 === 0 ? 1 : 0 }),
      )
      const carried = new Set(jobs.filter((_, n) => n % 2 === 0).map(({ id }) => id))
      const advance = [{ key: 'cursor', from: null, to: '1', jobs: [...carried] }]
      const answers = await store.insert(jobs, { advance })
      for (const [n, { id, status }] of answers.entries()) {
        assert.equal(id, jobs[n]?.id)
        assert.equal(status, isLate && carried.has(id) ? 'stale' : 'created')
      }
      const found = await store.get(jobs.map(({ id }) => id))
      for (const [n, job] of found.entries())
        assert.equal(job === null, answers[n]?.status === 'stale')
    }
    assert.deepEqual(await store.counts(), [{ queue: 'queue', state: 'ready', count: 4_500 }])
  })

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

  test('what a job leaves beside its record goes with it, however it goes', async (t) => {
    const prefix = 'traces'
    const store = redis(server.url, { prefix })
    t.after(() => store.close())
    const ends = ['settled', 'removed', 'taken', 'pruned', 'cancelled'] as const
    for (const end of ends) {
      await store.insert([newJob({ group: 'g', keepCancelledMs: 0 })])
      const [job] = (await store.claim(claimOf())).jobs
      assert.ok(job)
      const { id, token } = job
      assert.deepEqual(await store.record([{ id, token, name: 'step', text: '1' }]), ['recorded'])
      await store.note([{ id, token, kind: 'progress', value: '1' }])
      await store.note([{ id, token, kind: 'log', agoMs: 0, level: 'info', text: 'x' }])
      const again = requeue(job, { attempt: '"e"', delayMs: end === 'cancelled' ? 60_000 : 0 })
      await store.settle([again])
      if (end === 'cancelled') await store.cancel([id], null)
      else {
        const [second] = (await store.claim(claimOf())).jobs
        assert.ok(second)
        const keepMs = { settled: 0, removed: null, taken: null, pruned: 1 }[end]
        await store.settle([finish(second, { keepMs })])
        if (end === 'removed') await store.remove([id])
        if (end === 'taken') await store.take([id])
        if (end === 'pruned')
          while ((await store.get([id]))[0] !== null) await store.prune({ limit: 10, cap: 10 })
      }
      const keys = await admin.keys(`{${prefix}:0}:*`)
      const left = keys.filter((key) => /^{traces:0}:(a|p|l|r|rn|g|j|n|d):/.test(key))
      assert.deepEqual(left, [], end)
    }
  })

  test('jobs that nobody waits for are settled in one script, whoever waits for others', async (t) => {
    const store = redis(server.url, { prefix: 'waited-for' })
    t.after(() => store.close())
    const [first, ...others] = Array.from({ length: 10 }, () => newJob())
    assert.ok(first)
    const waiting = newJob({
      queue: 'waiting',
      needs: [{ kind: 'job', id: first.id, onFailed: 'run' }],
    })
    await store.insert([first, ...others])
    await store.insert([waiting])
    const { jobs } = await store.claim(claimOf({ limit: 10 }))
    assert.equal(jobs.length, 10)
    const ends = jobs.map((job) => finish(job, { output: job.id }))
    const scriptsOf = async (call: () => Promise<unknown>): Promise<number> => {
      await admin.config('RESETSTAT')
      await call()
      const stats = await admin.info('commandstats')
      return Number(/cmdstat_evalsha:calls=(\d+)/.exec(stats)?.[1])
    }
    // The server knows both scripts then: it would ask for the text of one that it does not know.
    await store.settle([finish({ id: waiting.id, token: 1 })])
    assert.equal(await scriptsOf(() => store.settle(ends.slice(5))), 1)
    assert.equal((await store.get([waiting.id]))[0]?.state, 'blocked')
    const late = finish({ id: waiting.id, token: 1 })
    const answers: unknown[] = []
    assert.equal(
      await scriptsOf(async () =>
        answers.push(...(await store.settle([late, ...ends.slice(0, 5)]))),
      ),
      2,
    )
    assert.deepEqual(answers, ['stale', ...ends.slice(0, 5).map(() => 'settled')])
    const found = await store.get([...jobs.map(({ id }) => id), waiting.id])
    assert.deepEqual(
      found.map((job) => [job?.state, job?.output]),
      [...jobs.map(({ id }) => ['completed', id]), ['ready', null]],
    )
  })

  test('jobs that others need are settled in one script, and whoever waits goes on as ever', async (t) => {
    const prefix = 'needed'
    const store = redis(server.url, { prefix })
    t.after(() => store.close())
    const grouped = { group: 'g' }
    const needed = Array.from({ length: 12 }, () => newJob(grouped))
    const waits = (from: number, to: number, facts: Partial<NewJob>, output?: 'hand'): NewJob => {
      const wants = output === undefined ? {} : { output }
      const needs = needed
        .slice(from, to)
        .map(({ id }) => ({ kind: 'job' as const, id, onFailed: 'cancel' as const, ...wants }))
      return newJob({ queue: 'waiting', ...facts, needs })
    }
    const all = waits(0, 10, grouped, 'hand')
    const plain = [waits(9, 10, {}), waits(10, 11, grouped), waits(9, 11, {})]
    const later = waits(10, 11, { delayMs: 3_600_000 })
    const keyed = waits(11, 12, { unique: unique('k') })
    const first = waits(11, 12, { priority: -5 })
    const others = [all, ...plain, later, keyed, first]
    await store.insert([...needed, ...others])
    const { jobs } = await store.claim(claimOf({ queues: [{ name: 'queue', limit: 20 }] }))
    assert.equal(jobs.length, 12)
    const ends = jobs.map((job) => finish(job, { output: `"${job.id}"` }))
    const scriptsOf = async (part: typeof ends): Promise<number> => {
      await admin.config('RESETSTAT')
      assert.deepEqual(new Set(await store.settle(part)), new Set(['settled']))
      const stats = await admin.info('commandstats')
      return Number(/cmdstat_evalsha:calls=(\d+)/.exec(stats)?.[1])
    }
    const states = async (): Promise<(string | undefined)[]> =>
      (await store.get(others.map(({ id }) => id))).map((job) => job?.state)
    // The server knows both scripts then: it would ask for the text of one that it does not know.
    await store.settle([finish({ id: newJob().id, token: 1 })])
    assert.equal(await scriptsOf(ends.slice(0, 8)), 1)
    assert.deepEqual(new Set(await states()), new Set(['blocked']))
    // One of two is the last need of a job that wants outputs.
    assert.equal(await scriptsOf(ends.slice(8, 10)), 2)
    const rest = ['blocked', 'blocked', 'blocked', 'blocked', 'blocked']
    assert.deepEqual(await states(), ['ready', 'ready', ...rest])
    await scriptsOf(ends.slice(10))
    const ready = ['ready', 'ready', 'ready', 'ready']
    assert.deepEqual(await states(), [...ready, 'scheduled', 'ready', 'ready'])
    assert.deepEqual(await admin.keys(`{${prefix}:0}:[dn]:*`), [])
    assert.equal(await admin.exists(`{${prefix}:0}:needed`), 0)
    const counts = (await store.counts()).map(({ queue, state, count }) => [queue, state, count])
    assert.deepEqual(
      new Set(counts.map(String)),
      new Set(['queue,completed,12', 'waiting,ready,6', 'waiting,scheduled,1']),
    )
    const queues = [{ name: 'waiting', limit: 20 }]
    const claimed = (await store.claim(claimOf({ queues, limit: 20 }))).jobs
    assert.equal(claimed[0]?.id, first.id)
    assert.deepEqual(
      new Set(claimed.map(({ id }) => id)),
      new Set(others.filter((one) => one !== later).map(({ id }) => id)),
    )
    const handed = claimed.find(({ id }) => id === all.id)?.needed
    assert.deepEqual(
      new Set(
        typeof handed === 'object' ? handed.map(({ id, output }) => `"${id}" ${output}`) : [],
      ),
      new Set(needed.slice(0, 10).map(({ id }) => `"${id}" "${id}"`)),
    )
  })

  test('jobs that one other job needs each make these ready in one script, in their order', async (t) => {
    const store = redis(server.url, { prefix: 'one-each' })
    t.after(() => store.close())
    const needed = Array.from({ length: 5 }, () => newJob())
    const waiting = needed.map(({ id }) =>
      newJob({ queue: 'waiting', needs: [{ kind: 'job', id, onFailed: 'run' }] }),
    )
    await store.insert([...needed, ...waiting])
    const { jobs } = await store.claim(claimOf({ limit: 5 }))
    await store.settle([finish({ id: newJob().id, token: 1 })])
    await admin.config('RESETSTAT')
    await store.settle(jobs.toReversed().map((job) => finish(job)))
    const stats = await admin.info('commandstats')
    assert.equal(Number(/cmdstat_evalsha:calls=(\d+)/.exec(stats)?.[1]), 1)
    const queues = [{ name: 'waiting', limit: 5 }]
    const claimed = (await store.claim(claimOf({ queues, limit: 5 }))).jobs
    assert.deepEqual(
      claimed.map(({ id }) => id),
      waiting.map(({ id }) => id),
    )
  })

  test('follow-ups come with the ends of their batch, in one script where they are plain', async (t) => {
    const store = redis(server.url, { prefix: 'followed' })
    t.after(() => store.close())
    await store.insert(Array.from({ length: 30 }, () => newJob()))
    const { jobs } = await store.claim(claimOf({ limit: 30 }))
    const follows = jobs.map((job, at) => {
      const plain = newJob({ queue: `after-${at % 2}`, parent: job.id, input: `"${at}"` })
      const odd = newJob({ queue: 'odd', parent: job.id, input: `"${at}"`, delayMs: 3_600_000 })
      return at % 10 === 9 ? [] : at === 25 ? [plain, odd] : [plain]
    })
    const ends = jobs.map((job, at) =>
      finish(job, { followUps: follows[at] ?? [], output: job.id, yieldsToCancel: true }),
    )
    const states = async (): Promise<(string | undefined)[]> =>
      (await store.get(follows.flat().map(({ id }) => id))).map((job) => job?.state)
    const scriptsOf = async (part: typeof ends): Promise<[scripts: number, answers: unknown]> => {
      await admin.config('RESETSTAT')
      const answers = await store.settle(part)
      const stats = await admin.info('commandstats')
      return [Number(/cmdstat_evalsha:calls=(\d+)/.exec(stats)?.[1]), answers]
    }
    const settled = (count: number): unknown[] => Array.from({ length: count }, () => 'settled')
    // The server knows both scripts then: it would ask for the text of one that it does not know.
    await store.settle([finish({ id: newJob().id, token: 1 })])
    assert.deepEqual(await scriptsOf(ends.slice(0, 10)), [1, settled(10)])
    await store.cancel([jobs[13]?.id ?? ''], null)
    const [, answers] = await scriptsOf(ends.slice(10, 20))
    const asked = settled(10).map((one, at) => (at === 3 ? 'cancel-asked' : one))
    assert.deepEqual(answers, asked)
    // One whose follow-up is due later goes apart from the others.
    assert.deepEqual(await scriptsOf(ends.slice(20)), [2, settled(10)])
    const expected = follows.flatMap((some, at) =>
      some.map(({ delayMs }) => (at === 13 ? undefined : delayMs > 0 ? 'scheduled' : 'ready')),
    )
    assert.deepEqual(await states(), expected)
    assert.deepEqual(await store.settle(ends), [...settled(13), 'cancel-asked', ...settled(16)])
    assert.deepEqual(await states(), expected)
    const counts = await store.counts()
    const ready = counts
      .filter(({ state }) => state === 'ready')
      .reduce((sum, one) => sum + one.count, 0)
    assert.equal(ready, expected.filter((state) => state === 'ready').length)
    const queues = [0, 1].map((n) => ({ name: `after-${n}`, limit: 100 }))
    const claimed = (await store.claim(claimOf({ queues, limit: 100 }))).jobs
    assert.deepEqual(
      claimed.map(({ id, parent, input }) => `${id} ${parent} ${input}`).sort(),
      follows
        .flatMap((some, at) => (at === 13 ? [] : some))
        .filter(({ delayMs }) => delayMs === 0)
        .map(({ id, parent, input }) => `${id} ${parent} ${input}`)
        .sort(),
    )
  })

  test('who waits for a job of any kind goes on when it ends, whatever was done to it meanwhile', async (t) => {
    const store = redis(server.url, { prefix: 'kinds' })
    t.after(() => store.close())
    const kinds = [
      {},
      { startWithinMs: 60_000 },
      { unique: unique('k') },
      { group: 'g' },
      { priority: 5 },
      { delayMs: 1 },
    ]
    for (const kind of kinds) {
      const need = newJob(kind)
      const waits = newJob({
        queue: 'waiting',
        needs: [{ kind: 'job', id: need.id, onFailed: 'run' }],
      })
      await store.insert([need])
      await store.insert([waits])
      for (const end of ['requeue', 'requeue', 'finish'] as const) {
        let claimed: readonly ClaimedJob[] = []
        while (claimed.length === 0) claimed = (await store.claim(claimOf())).jobs
        const [job] = claimed
        assert.ok(job)
        const settlement = end === 'finish' ? finish(job) : requeue(job, { started: true })
        assert.deepEqual(await store.settle([settlement]), ['settled'])
      }
      const [waiting] = await store.get([waits.id])
      assert.equal(waiting?.state, 'ready', JSON.stringify(kind))
    }
  })

  test('a claim of any jobs may be repeated while its leases last, and then claims as ever', async (t) => {
    const store = redis(server.url, { prefix: 'once' })
    t.after(() => store.close())
    await store.insert([newJob({ priority: 5 }), newJob({ deadlineMs: 60_000 }), newJob()])
    const [lost] = (await store.claim(claimOf({ limit: 1 }))).jobs
    assert.ok(lost)
    await store.settle([requeue(lost, { suspect: true, started: true })])
    for (const maxLosses of [1_000, null]) {
      const request = claimOf({ id: newJob().id, maxLosses })
      const { jobs } = await store.claim(request)
      assert.equal(jobs.length, maxLosses === null ? 2 : 1)
      const again = await store.claim(request)
      assert.deepEqual(again.jobs.toSorted(byId), jobs.toSorted(byId))
    }
    const short = claimOf({ id: newJob().id, leaseMs: 50 })
    assert.deepEqual((await store.claim(short)).jobs, [])
    await store.insert([newJob()])
    assert.deepEqual((await store.claim(short)).jobs, [])
    await new Promise((resolve) => setTimeout(resolve, 60))
    assert.equal((await store.claim(short)).jobs.length, 1)
  })

  test('jobs of a group are claimed in one script with the others', async (t) => {
    const store = redis(server.url, { prefix: 'grouped' })
    t.after(() => store.close())
    const jobs = Array.from({ length: 9 }, (_, n) => newJob({ group: n % 3 === 1 ? 'g' : null }))
    await store.insert(jobs)
    const { jobs: claimed } = await store.claim(claimOf({ limit: 5 }))
    await admin.config('RESETSTAT')
    const { jobs: rest } = await store.claim(claimOf({ limit: 5 }))
    const stats = await admin.info('commandstats')
    assert.equal(Number(/cmdstat_evalsha:calls=(\d+)/.exec(stats)?.[1]), 1)
    assert.deepEqual(
      [...claimed, ...rest].map(({ id }) => id),
      jobs.map(({ id }) => id),
    )
    await store.settle([...claimed, ...rest].map((job) => finish(job, { keepMs: 0 })))
    assert.deepEqual(await store.counts(), [])
    assert.deepEqual(await admin.keys('{grouped:0}:g:*'), [])
    assert.equal(await admin.exists('{grouped:0}:running', '{grouped:0}:leases'), 1)
    assert.equal(await admin.zcard('{grouped:0}:leases'), 0)
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
    await store.list({ limit: 10, group: 'g' })
    await store.stats()
    await store.listRecords({ prefix: 'p', after: null, limit: 10 })
    const stats = await admin.info('commandstats')
    assert.match(stats, /cmdstat_evalsha/)
    assert.doesNotMatch(stats, /cmdstat_(keys|scan|hscan|sscan|zscan):/)
  })
}

function byId(a: { readonly id: string }, b: { readonly id: string }): number {
  return a.id < b.id ? -1 : 1
}
