import assert from 'node:assert/strict'
import type { Rule } from './harness.ts'
import { requeue, counted, finish, minute } from './jobs.ts'
import { rulesOf } from './rule.ts'

/** Jobs that are put back: where they stand then, and what they keep. */
export const requeueRules: readonly Rule[] = rulesOf('requeue', {
  'a job given back unstarted keeps its place before newer work': async (scene) => {
    const first = await scene.running()
    await scene.advance(1_000)
    const newer = await scene.enqueue()
    await scene.settle(requeue(first))
    assert.deepEqual(await scene.claimIds(), [first.id, newer])
  },

  'a job given back runs before newer work even when it had to wait for a while': async (scene) => {
    const first = await scene.running()
    await scene.advance(1_000)
    const newer = await scene.enqueue()
    await scene.settle(requeue(first, { delayMs: minute }))
    await scene.advance(minute + 1)
    assert.deepEqual(await scene.claimIds(), [first.id, newer])
  },

  'a lost job runs before newer work of its priority, and after work of a lower number': async (
    scene,
  ) => {
    const lost = await scene.running()
    const newer = await scene.enqueue()
    const urgent = await scene.enqueue({ priority: -1 })
    await scene.advance(minute)
    const { jobs } = await scene.store.rescue({
      worker: 's',
      tasks: ['task'],
      limit: 5,
      leaseMs: minute,
    })
    await scene.settle(requeue(jobs[0]!, { delayMs: 1_000 }))
    await scene.advance(1_001)
    assert.deepEqual(await scene.claimIds(), [urgent, lost.id, newer])
  },

  'a job that lines up by its new due time stands behind what was due before': async (scene) => {
    const first = await scene.running()
    await scene.advance(1_000)
    const newer = await scene.enqueue()
    await scene.settle(requeue(first, { place: 'due', delayMs: minute }))
    await scene.advance(minute + 1)
    assert.deepEqual(await scene.claimIds(), [newer, first.id])
  },

  'a job put back at once by its due time stands behind what waits already': async (scene) => {
    const first = await scene.running()
    const newer = await scene.enqueue()
    await scene.advance(1_000)
    await scene.settle(requeue(first, { place: 'due' }))
    assert.deepEqual(await scene.claimIds(), [newer, first.id])
  },

  'a place is kept over any number of returns': async (scene) => {
    let job = await scene.running()
    const newer = await scene.enqueue()
    for (let n = 0; n < 5; n += 1) {
      await scene.advance(1_000)
      await scene.settle(requeue(job, { delayMs: 10 }))
      await scene.advance(11)
      job = await scene.claimOne()
    }
    await scene.settle(requeue(job))
    assert.deepEqual(await scene.claimIds(), [job.id, newer])
  },

  'a delayed job is scheduled for the time of the store and not claimed before': async (scene) => {
    const job = await scene.running()
    const now = await scene.now()
    await scene.settle(requeue(job, { delayMs: minute, place: 'due' }))
    await scene.shows(job.id, { state: 'scheduled', dueAt: now + minute })
    await scene.advance(minute - scene.slackMs - 1)
    assert.deepEqual(await scene.claim(), [])
    await scene.advance(scene.slackMs + 1)
    assert.deepEqual(await scene.claimIds(), [job.id])
  },

  'a run that had begun lifts the bound on its start, one that had not leaves it': async (
    scene,
  ) => {
    for (const started of [false, true]) {
      const job = await scene.running({ startWithinMs: minute, deadlineMs: minute })
      await scene.settle(requeue(job, { started, delayMs: 1 }))
      const { startBy, deadlineAt } = await scene.job(job.id)
      assert.equal(startBy, started ? null : job.startBy)
      assert.equal(deadlineAt, job.deadlineAt)
      await scene.store.remove([job.id])
    }
  },

  'a job that was put back shows who ran it last, and no lease': async (scene) => {
    const job = await scene.running()
    await scene.store.note([{ id: job.id, token: job.token, kind: 'start', agoMs: 0 }])
    await scene.settle(requeue(job, { started: true }))
    await scene.shows(job.id, {
      worker: 'worker',
      leaseUntil: null,
      startedAt: null,
      token: job.token,
    })
    assert.equal((await scene.claimOne()).startedAt, null)
  },

  'counters survive each other over every kind of return': async (scene) => {
    const returns = [
      counted({ attempts: 1, failures: 1 }),
      counted({ attempts: 1, failures: 1, postpones: 1 }),
      counted({ attempts: 1, failures: 1, postpones: 1, interruptions: 1 }),
      counted({ attempts: 2, failures: 1, postpones: 1, interruptions: 1, losses: 1 }),
      counted({
        attempts: 2,
        failures: 1,
        postpones: 1,
        interruptions: 1,
        losses: 1,
        deferrals: 1,
      }),
    ]
    let job = await scene.running()
    for (const counters of returns) {
      await scene.settle(requeue(job, { counters, suspect: counters.losses > 0 }))
      await scene.shows(job.id, { counters })
      job = await scene.claimOne()
      assert.deepEqual(job.counters, counters)
    }
    await scene.settle(finish(job, { counters: returns[4]! }))
    await scene.shows(job.id, { counters: returns[4]! })
  },

  'a deferral burns nothing and comes back when it is due': async (scene) => {
    const job = await scene.running({ task: 'unknown here' })
    const counters = counted({ deferrals: 1 })
    await scene.settle(requeue(job, { counters, delayMs: 30_000 }))
    await scene.shows(job.id, { state: 'scheduled', counters })
    await scene.advance(30_001)
    assert.deepEqual((await scene.claimOne()).counters, counters)
  },
})
