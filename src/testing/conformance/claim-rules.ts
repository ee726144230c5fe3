import assert from 'node:assert/strict'
import type { Rule } from './harness.ts'
import { requeue, claimOf, counted, finish, hour, leaseMs, minute, newJob } from './jobs.ts'
import { rulesOf } from './rule.ts'
import { only } from './scene.ts'

/** Who gets which ready job, and in which order. */
export const claimRules: readonly Rule[] = rulesOf('claim', {
  'a claim hands out all that is needed to run the job': async (scene) => {
    const job = newJob({
      priority: 3,
      input: '{"a":1}',
      codec: 'c',
      options: '{"o":1}',
      parent: newJob().id,
      startWithinMs: minute,
      deadlineMs: hour,
      unique: { key: 'k', during: ['ready'], forMs: null, onConflict: 'skip', maxWaitMs: null },
    })
    await scene.store.insert([job])
    const { now, jobs } = await scene.store.claim(claimOf({ worker: 'me' }))
    const claimed = only(jobs)
    const stored = await scene.job(job.id)
    assert.ok(claimed.token > 0)
    assert.deepEqual(claimed, {
      id: job.id,
      token: stored.token,
      task: 'task',
      queue: 'queue',
      priority: 3,
      input: '{"a":1}',
      codec: 'c',
      options: '{"o":1}',
      parent: job.parent,
      uniqueKey: 'k',
      createdAt: stored.createdAt,
      dueAt: stored.dueAt,
      startBy: stored.startBy,
      deadlineAt: stored.deadlineAt,
      counters: stored.counters,
      startedAt: null,
      cancelAsked: false,
      why: 'ready',
      lostBy: null,
      needed: [],
      group: null,
      tags: [],
      headers: {},
    })
    scene.same(stored, { state: 'running', worker: 'me', leaseUntil: now + leaseMs })
  },

  'a claim counts nothing': async (scene) => {
    const { id } = await scene.running()
    await scene.shows(id, { counters: counted(), startedAt: null })
  },

  'counters come back in the next claim as they were settled': async (scene) => {
    const job = await scene.running()
    const counters = {
      attempts: 1,
      failures: 2,
      postpones: 3,
      losses: 4,
      interruptions: 5,
      deferrals: 6,
    }
    await scene.settle(requeue(job, { counters }))
    assert.deepEqual((await scene.claimOne()).counters, counters)
  },

  'an empty store answers its time and no job': async (scene) => {
    const { now, jobs } = await scene.store.claim(claimOf({ others: 5 }))
    assert.equal(typeof now, 'number')
    assert.deepEqual(jobs, [])
  },

  'a job is handed out once': async (scene) => {
    await scene.running()
    assert.deepEqual(await scene.claim(), [])
    const other = await scene.another()
    assert.deepEqual((await other.claim(claimOf())).jobs, [])
  },

  'a job whose lease expired is not claimed, it is swept': async (scene) => {
    const { id } = await scene.running()
    await scene.advance(10 * leaseMs)
    assert.deepEqual(await scene.claim({ maxLosses: 9, id: null }), [])
    await scene.shows(id, { state: 'running' })
  },

  'lower priorities run first, whenever they came': async (scene) => {
    const ids: string[] = []
    for (const priority of [5, 1000, 0, -1, -1000]) ids.push(await scene.enqueue({ priority }))
    assert.deepEqual(await scene.claimIds(), [ids[4], ids[3], ids[2], ids[0], ids[1]])
  },

  'within a priority the first due runs first, then the first inserted': async (scene) => {
    const now = await scene.now()
    const b = await scene.enqueue({ runAt: now - 1_000 })
    const a = await scene.enqueue({ runAt: now - 2_000 })
    const c = await scene.enqueue({ runAt: now - 1_000 })
    assert.deepEqual(await scene.claimIds(), [a, b, c])
  },

  'jobs of one batch run in the order of the batch': async (scene) => {
    const jobs = Array.from({ length: 200 }, () => newJob())
    await scene.store.insert(jobs)
    const ids: string[] = []
    for (let round = 0; round < 4; round += 1) ids.push(...(await scene.claimIds({ limit: 50 })))
    assert.deepEqual(
      ids,
      jobs.map((job) => job.id),
    )
  },

  'a scheduled job is claimed when it is due, not before': async (scene) => {
    const id = await scene.enqueue({ delayMs: minute })
    await scene.advance(minute - scene.slackMs - 1)
    assert.deepEqual(await scene.claim(), [])
    await scene.advance(scene.slackMs + 1)
    assert.deepEqual(await scene.claimIds(), [id])
  },

  'a job that became due stands before one that was inserted later': async (scene) => {
    const early = await scene.enqueue({ delayMs: minute })
    const late = await scene.enqueue({ delayMs: 2 * minute })
    await scene.advance(minute + 30_000)
    const between = await scene.enqueue()
    await scene.advance(minute)
    const last = await scene.enqueue()
    assert.deepEqual(await scene.claimIds(), [early, between, late, last])
  },

  'every claim tells how long the next scheduled job is away, in whatever queue': async (scene) => {
    const next = async (over = {}): Promise<number | null> =>
      (await scene.store.claim(claimOf(over))).nextDueMs
    assert.equal(await next(), null)
    await scene.enqueue()
    await scene.enqueue({ delayMs: hour })
    await scene.enqueue({ delayMs: minute, queue: 'other' })
    scene.near(await next({ limit: 0 }), minute)
    scene.near(await next(), minute)
    await scene.store.pause(['other'])
    scene.near(await next(), minute)
    await scene.advance(minute + 1)
    scene.near(await next(), hour - minute - 1)
    await scene.advance(hour)
    assert.equal(await next(), null)
  },

  'a claim of a suspect tells when the next job is due, too': async (scene) => {
    await scene.makeSuspect(await scene.running())
    await scene.enqueue({ delayMs: minute })
    scene.near((await scene.store.claim(claimOf({ maxLosses: 1, id: null }))).nextDueMs, minute)
  },

  'more due jobs than one call promotes are all handed out': async (scene) => {
    const total = 2_500
    for (let from = 0; from < total; from += 500) {
      await scene.store.insert(Array.from({ length: 500 }, () => newJob({ delayMs: minute })))
    }
    await scene.advance(minute + 1)
    const ids = new Set<string>()
    for (let calls = 0; calls < 10; calls += 1) for (const id of await scene.claimIds()) ids.add(id)
    assert.equal(ids.size, total)
  },

  'a queue gives at most its limit': async (scene) => {
    for (let count = 0; count < 5; count += 1) await scene.enqueue()
    assert.equal((await scene.claim({ queues: [{ name: 'queue', limit: 2 }] })).length, 2)
    assert.equal((await scene.claim({ queues: [{ name: 'queue', limit: 0 }] })).length, 0)
    assert.equal((await scene.claim({ queues: [{ name: 'queue', limit: 9 }] })).length, 3)
  },

  'all queues together give at most the limit of the claim, asked in their order': async (
    scene,
  ) => {
    const first = await scene.enqueue({ queue: 'b' })
    for (const queue of ['a', 'b', 'c'])
      for (let n = 0; n < 3; n += 1) await scene.enqueue({ queue })
    const queues = ['b', 'c', 'a'].map((name) => ({ name, limit: 2 }))
    const jobs = await scene.claim({ queues, limit: 5 })
    assert.equal(jobs[0]?.id, first)
    assert.equal(jobs.map((job) => job.queue).join(''), 'bbcca')
  },

  'jobs that left the line leave no gap in what a claim is given': async (scene) => {
    const ids: string[] = []
    for (let n = 0; n < 6; n += 1) ids.push(await scene.enqueue())
    const urgent = await scene.enqueue({ priority: -1 })
    await scene.store.cancel([ids[1]!, ids[2]!], null)
    await scene.store.remove([ids[4]!])
    assert.deepEqual(await scene.claimIds({ limit: 4 }), [urgent, ids[0], ids[3], ids[5]])
  },

  'a job that left the line is not given out, whatever was asked of the line before': async (
    scene,
  ) => {
    const lost = await scene.running({ priority: 1 })
    await scene.makeSuspect(lost)
    const [first, left, last] = [
      await scene.enqueue(),
      await scene.enqueue(),
      await scene.enqueue(),
    ]
    await scene.store.cancel([left], null)
    assert.deepEqual(await scene.claimIds({ limit: 1, maxLosses: 9, id: null }), [first])
    await scene.store.cancel([lost.id], null)
    // A store may remember for a while that the line was not plain: this client does not.
    const { jobs } = await (await scene.another()).claim(claimOf())
    assert.deepEqual([only(jobs).id], [last])
    await scene.shows(left, { state: 'cancelled' })
  },

  'the order of queues goes before the priority of jobs': async (scene) => {
    await scene.enqueue({ queue: 'b', priority: -9 })
    await scene.enqueue({ queue: 'a', priority: 9 })
    const queues = ['a', 'b'].map((name) => ({ name, limit: 5 }))
    assert.deepEqual(
      (await scene.claim({ queues, limit: 1 })).map((job) => job.queue),
      ['a'],
    )
  },

  'queues that are not named give nothing unless others are asked for': async (scene) => {
    await scene.enqueue({ queue: 'a' })
    assert.deepEqual(await scene.claim({ queues: [{ name: 'b', limit: 5 }] }), [])
    assert.deepEqual(await scene.claim({ queues: [] }), [])
  },

  'other queues come after the named ones, by name, each with its own limit': async (scene) => {
    for (const queue of ['d', 'a', 'c', 'b'])
      for (let n = 0; n < 3; n += 1) await scene.enqueue({ queue })
    const jobs = await scene.claim({ queues: [{ name: 'c', limit: 1 }], others: 2, limit: 6 })
    assert.equal(jobs.map((job) => job.queue).join(''), 'caabbd')
  },

  'a named queue is not among the others': async (scene) => {
    for (let n = 0; n < 3; n += 1) await scene.enqueue({ queue: 'a' })
    assert.equal((await scene.claim({ queues: [{ name: 'a', limit: 1 }], others: 5 })).length, 1)
    assert.equal((await scene.claim({ queues: [{ name: 'a', limit: 0 }], others: 5 })).length, 0)
  },

  'one call asks several hundred queues': async (scene) => {
    const names = Array.from(
      { length: 300 },
      (_, index) => `queue-${String(index).padStart(3, '0')}`,
    )
    await scene.store.insert(names.map((queue) => newJob({ queue })))
    const jobs = await scene.claim({ queues: names.map((name) => ({ name, limit: 1 })) })
    assert.deepEqual(
      jobs.map((job) => job.queue),
      names,
    )
  },

  'a paused queue gives nothing, named or not, and the others go on': async (scene) => {
    const paused = await scene.enqueue({ queue: 'a' })
    const other = await scene.enqueue({ queue: 'b' })
    await scene.store.pause(['a'])
    const client = await scene.another()
    const named = ['a', 'b'].map((name) => ({ name, limit: 1 }))
    assert.deepEqual(
      (await client.claim(claimOf({ queues: named }))).jobs.map((job) => job.id),
      [other],
    )
    assert.deepEqual(await scene.claim({ queues: [], others: 5, maxLosses: 9, id: null }), [])
    await client.resume(['a'])
    assert.deepEqual(await scene.claimIds({ queues: named }), [paused])
  },

  'a job that is running when its queue is paused goes on and may be settled': async (scene) => {
    const job = await scene.running()
    await scene.store.pause(['queue'])
    assert.deepEqual(await scene.store.renew([job], leaseMs), ['renewed'])
    assert.equal(await scene.settle(finish(job)), 'settled')
  },

  'jobs are accepted into a paused queue, also one that was never seen before': async (scene) => {
    await scene.store.pause(['new'])
    const id = await scene.enqueue({ queue: 'new' })
    assert.deepEqual(await scene.claim({ queues: [{ name: 'new', limit: 1 }] }), [])
    await scene.store.resume(['new'])
    assert.deepEqual(await scene.claimIds({ queues: [{ name: 'new', limit: 1 }] }), [id])
  },

  'claims do not ask for a known task': async (scene) => {
    const id = await scene.enqueue({ task: 'nobody knows it' })
    assert.deepEqual(await scene.claimIds(), [id])
  },

  'a waiting job that is overdue may still be claimed': async (scene) => {
    const id = await scene.enqueue({ startWithinMs: 10, deadlineMs: 10 })
    await scene.advance(1_000)
    const job = await scene.claimOne()
    assert.deepEqual([job.id, job.why], [id, 'ready'])
  },

  'tokens only grow, whoever hands them out': async (scene) => {
    const other = await scene.another()
    const tokens: number[] = []
    for (let round = 0; round < 5; round += 1) {
      const job = await scene.running()
      tokens.push(job.token)
      await scene.advance(leaseMs + 1)
      const swept = only(
        (await other.rescue({ worker: 's', tasks: ['task'], limit: 9, leaseMs })).jobs,
      )
      tokens.push(swept.token)
      await scene.settle(requeue(swept))
      const third = only((await other.claim(claimOf())).jobs)
      tokens.push(third.token)
      await other.settle([finish(third)])
      const inline = only(
        await other.insert([newJob({ entry: { kind: 'running', worker: 'w', leaseMs: hour } })]),
      )
      tokens.push(inline.token as number)
    }
    assert.deepEqual(
      tokens,
      [...new Set(tokens)].sort((a, b) => a - b),
    )
    assert.ok(tokens.every((token) => Number.isSafeInteger(token) && token > 0))
  },

  'tokens follow the clock in microseconds, so that none comes twice when a crash took back the last':
    async (scene) => {
      const ids = [await scene.enqueue(), await scene.enqueue()]
      for (const _ of ids) {
        await scene.advance(hour)
        const { now, jobs } = await scene.store.claim(claimOf({ limit: 1 }))
        const claimed = only(jobs)
        assert.ok(ids.includes(claimed.id))
        // A server may take its tokens from a clock that tests do not move.
        const clock = Math.min(now, Date.now())
        assert.ok(claimed.token > (clock - 1_000) * 1_000, `${claimed.token} at ${clock}`)
      }
    },

  'a job never gets a token that it had before, even after an operator retried it': async (
    scene,
  ) => {
    const first = await scene.running()
    await scene.settle(finish(first, { state: 'failed' }))
    await scene.store.retry([first.id])
    const second = await scene.claimOne()
    assert.equal(second.id, first.id)
    assert.ok(second.token > first.token)
    assert.equal(await scene.settle(finish(first, { output: '"zombie"' })), 'settled')
    await scene.shows(first.id, { state: 'running', output: null, token: second.token })
  },
})
