import assert from 'node:assert/strict'
import type { Rule } from './harness.ts'
import { requeue, rescueOf, finish, hour, leaseMs, minute, newJob } from './jobs.ts'
import { rulesOf } from './rule.ts'
import { only } from './scene.ts'

/** What a sweep hands to its caller: lost jobs and jobs that waited too long. */
export const rescueRules: readonly Rule[] = rulesOf('rescue', {
  'an expired lease goes to the sweeper, with a new token and a lease of its own': async (
    scene,
  ) => {
    const dead = await scene.running({ input: '"x"' })
    await scene.advance(leaseMs + 1)
    const { now, jobs } = await scene.store.rescue(rescueOf({ leaseMs: minute }))
    const job = only(jobs)
    const lostBy = { worker: 'worker', token: dead.token }
    assert.deepEqual(job, { ...dead, token: job.token, why: 'lost', lostBy })
    assert.ok(job.token > dead.token)
    const lease = {
      worker: 'sweeper',
      leaseUntil: now + minute,
      token: job.token,
      state: 'running',
    } as const
    await scene.shows(job.id, lease)
    assert.deepEqual(await scene.sweep(), [])
  },

  'a lease that has not expired is left alone': async (scene) => {
    await scene.running()
    await scene.advance(leaseMs - scene.slackMs - 1)
    assert.deepEqual(await scene.changesNothing(() => scene.sweep()), [])
  },

  'a lost job tells whether its start was written, and goes on telling it': async (scene) => {
    for (const started of [false, true]) {
      const { id, token } = await scene.running()
      const now = await scene.now()
      if (started) await scene.store.note([{ id, token, kind: 'start', agoMs: 0 }])
      const first = await scene.rescue()
      const second = await scene.rescue()
      scene.near(first.startedAt, started ? now : null)
      assert.equal(second.startedAt, first.startedAt)
      assert.deepEqual([first.why, second.why], ['lost', 'lost'])
      await scene.settle(finish(second))
    }
  },

  'a cancel that was asked for is handed over to the sweeper': async (scene) => {
    const job = await scene.running()
    await scene.store.cancel([job.id], 'unwanted')
    const swept = await scene.rescue()
    assert.equal(swept.cancelAsked, true)
    assert.deepEqual(await scene.store.renew([swept], leaseMs), ['cancel-asked'])
    await scene.settle(finish(swept, { state: 'cancelled' }))
    await scene.shows(job.id, { state: 'cancelled', reason: 'unwanted' })
  },

  'jobs go only to a process that knows their task': async (scene) => {
    await scene.running({ task: 'a' })
    await scene.running({ task: 'b' })
    await scene.enqueue({ task: 'c', startWithinMs: 1 })
    await scene.advance(leaseMs + 1)
    assert.deepEqual(await scene.changesNothing(() => scene.sweep({ tasks: [] })), [])
    assert.deepEqual(
      (await scene.sweep({ tasks: ['b', 'x'] })).map((job) => job.task),
      ['b'],
    )
    assert.deepEqual((await scene.sweep({ tasks: ['a', 'c'] })).map((job) => job.task).sort(), [
      'a',
      'c',
    ])
  },

  'a sweep hands out at most its limit, lost and overdue together': async (scene) => {
    await scene.store.insert(Array.from({ length: 5 }, () => newJob()))
    await scene.claim()
    await scene.store.insert(Array.from({ length: 5 }, () => newJob({ startWithinMs: 1 })))
    await scene.advance(leaseMs + 1)
    const seen = new Set<string>()
    const sizes: number[] = []
    for (let n = 0; n < 3; n += 1) {
      const jobs = await scene.sweep({ limit: 4 })
      sizes.push(jobs.length)
      for (const job of jobs) seen.add(job.id)
    }
    assert.deepEqual([sizes, seen.size], [[4, 4, 2], 10])
  },

  'a waiting job past its startBy is leased to the sweeper as overdue, from any waiting state':
    async (scene) => {
      const need = await scene.enqueue({ queue: 'needs', task: 'other' })
      const ids = [
        await scene.enqueue({ startWithinMs: 1_000 }),
        await scene.enqueue({ startWithinMs: 1_000, queue: 'paused' }),
        await scene.enqueue({
          startWithinMs: 1_000,
          needs: [{ kind: 'job', id: need, onFailed: 'run' }],
        }),
      ]
      await scene.store.pause(['paused'])
      await scene.advance(1_000 - scene.slackMs - 1)
      assert.deepEqual(await scene.sweep(), [])
      await scene.advance(scene.slackMs + 1)
      const jobs = await scene.sweep()
      assert.deepEqual(jobs.map((job) => job.id).sort(), [...ids].sort())
      for (const job of jobs) {
        assert.deepEqual([job.why, job.startedAt], ['overdue', null])
        assert.ok(job.token > 0)
        await scene.shows(job.id, { state: 'running', worker: 'sweeper' })
        assert.equal(
          await scene.settle(finish(job, { state: 'failed', reason: 'start-within' })),
          'settled',
        )
      }
    },

  'a scheduled job past its deadline is leased to the sweeper as overdue': async (scene) => {
    const id = await scene.enqueue({ delayMs: hour, deadlineMs: minute })
    await scene.advance(minute + 1)
    const job = only(await scene.sweep())
    assert.deepEqual([job.id, job.why], [id, 'overdue'])
    assert.deepEqual(await scene.claim(), [])
  },

  'startBy counts from the first due time, so that a delayed job is not overdue before it is due':
    async (scene) => {
      await scene.enqueue({ delayMs: hour, startWithinMs: minute })
      await scene.advance(hour)
      assert.deepEqual(await scene.sweep(), [])
      await scene.advance(minute + 1)
      assert.equal((await scene.sweep()).length, 1)
    },

  'a running job is never overdue, and one that had begun is not bound by startBy any more': async (
    scene,
  ) => {
    const job = await scene.running({ startWithinMs: 1_000, deadlineMs: 10 * minute })
    await scene.advance(2_000)
    assert.deepEqual(await scene.sweep(), [])
    await scene.settle(requeue(job, { started: true, delayMs: hour }))
    await scene.advance(minute)
    assert.deepEqual(await scene.sweep(), [])
    await scene.advance(10 * minute)
    assert.equal(only(await scene.sweep()).why, 'overdue')
  },

  'an overdue job whose sweeper died is handed out again as overdue': async (scene) => {
    const id = await scene.enqueue({ startWithinMs: 1 })
    await scene.advance(2)
    const first = only(await scene.sweep())
    const second = await scene.rescue()
    const third = await scene.rescue()
    assert.deepEqual([second.id, second.why, third.why], [id, 'overdue', 'overdue'])
    assert.ok(first.token < second.token && second.token < third.token)
    assert.equal(await scene.settle(finish(first)), 'stale')
    assert.equal(await scene.settle(finish(third, { state: 'failed' })), 'settled')
  },

  'an overdue job that is put back is an ordinary job again': async (scene) => {
    await scene.enqueue({ startWithinMs: 1_000 })
    await scene.advance(1_001)
    const overdue = only(await scene.sweep())
    await scene.settle(requeue(overdue, { started: true }))
    assert.equal((await scene.claimOne()).why, 'ready')
    assert.equal((await scene.rescue()).why, 'lost')
  },

  'jobs without bounds wait for ever': async (scene) => {
    await scene.enqueue()
    await scene.enqueue({ delayMs: minute })
    await scene.advance(1_000 * hour)
    assert.deepEqual(await scene.sweep(), [])
  },

  'finished jobs are not swept': async (scene) => {
    await scene.settle(
      finish(await scene.running({ startWithinMs: 1, deadlineMs: 1 }), { keepMs: null }),
    )
    await scene.advance(hour)
    assert.deepEqual(await scene.sweep(), [])
  },
})
