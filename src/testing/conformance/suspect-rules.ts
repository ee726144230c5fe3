import assert from 'node:assert/strict'
import type { Rule } from './harness.ts'
import { requeue, counted, finish, minute } from './jobs.ts'
import { rulesOf } from './rule.ts'
import { only } from './scene.ts'

/** A job that was lost is a suspect: it is claimed alone, with its start written before it runs. */
export const suspectRules: readonly Rule[] = rulesOf('suspects', {
  'a suspect is claimed alone, however much the claim asks for, with its start written': async (
    scene,
  ) => {
    const lost = await scene.running()
    await scene.makeSuspect(lost)
    for (let n = 0; n < 3; n += 1) await scene.enqueue()
    const now = await scene.now()
    const job = only(await scene.claim({ maxLosses: 1, id: null }))
    assert.equal(job.id, lost.id)
    assert.equal(job.why, 'ready')
    scene.near(job.startedAt, now)
    await scene.shows(lost.id, { startedAt: now })
    assert.equal((await scene.claim({ maxLosses: 1, id: null })).length, 3)
  },

  'two suspects take two claims': async (scene) => {
    const a = await scene.enqueue()
    const b = await scene.enqueue()
    for (const job of await scene.claim()) await scene.makeSuspect(job)
    assert.deepEqual(await scene.claimIds({ maxLosses: 1, id: null }), [a])
    assert.deepEqual(await scene.claimIds({ maxLosses: 1, id: null }), [b])
    assert.deepEqual(await scene.claimIds({ maxLosses: 1, id: null }), [])
  },

  'a caller that can start no suspect gets ordinary jobs as if suspects were not there': async (
    scene,
  ) => {
    await scene.makeSuspect(await scene.running())
    const ids = [await scene.enqueue(), await scene.enqueue()]
    assert.deepEqual(await scene.claimIds({ maxLosses: null, id: null }), ids)
    assert.deepEqual(await scene.claimIds({ maxLosses: null, id: null }), [])
  },

  'a suspect with more losses than the caller can start is left to others': async (scene) => {
    await scene.makeSuspect(await scene.running(), 3)
    const ordinary = await scene.enqueue()
    assert.deepEqual(await scene.claimIds({ maxLosses: 2, id: null }), [ordinary])
    assert.deepEqual(await scene.claimIds({ maxLosses: 2, id: null }), [])
    assert.equal((await scene.claim({ maxLosses: 3, id: null })).length, 1)
  },

  'a suspect that may be started is found behind one that may not': async (scene) => {
    const [heavy, light] = [await scene.enqueue(), await scene.enqueue()]
    const jobs = await scene.claim()
    await scene.makeSuspect(jobs[0]!, 3)
    await scene.makeSuspect(jobs[1]!, 1)
    assert.deepEqual(await scene.claimIds({ maxLosses: 1, id: null }), [light])
    assert.deepEqual(await scene.claimIds({ maxLosses: 3, id: null }), [heavy])
  },

  'an ordinary job that stands before a suspect goes first, and the suspect comes by the next claim':
    async (scene) => {
      const lost = await scene.running()
      await scene.makeSuspect(lost)
      const first = await scene.enqueue({ priority: -1 })
      const behind = await scene.enqueue()
      assert.deepEqual(await scene.claimIds({ maxLosses: 9, id: null }), [first, behind])
      assert.deepEqual(await scene.claimIds({ maxLosses: 9, id: null }), [lost.id])
    },

  'a claim that took jobs from one queue takes no suspect from the next': async (scene) => {
    const lost = await scene.running({ queue: 'b' })
    await scene.makeSuspect(lost)
    const a = await scene.enqueue({ queue: 'a' })
    const b = await scene.enqueue({ queue: 'b' })
    const queues = ['a', 'b'].map((name) => ({ name, limit: 5 }))
    assert.deepEqual(await scene.claimIds({ queues, maxLosses: 9, id: null }), [a, b])
    assert.deepEqual(await scene.claimIds({ queues, maxLosses: 9, id: null }), [lost.id])
  },

  'a claim that found nothing in one queue may take a suspect from the next': async (scene) => {
    const lost = await scene.running({ queue: 'b' })
    await scene.makeSuspect(lost)
    await scene.enqueue({ queue: 'c' })
    const queues = ['a', 'b', 'c'].map((name) => ({ name, limit: 5 }))
    assert.deepEqual(await scene.claimIds({ queues, maxLosses: 9, id: null }), [lost.id])
  },

  'a suspect is found among the queues that are not named': async (scene) => {
    const lost = await scene.running({ queue: 'b' })
    await scene.makeSuspect(lost)
    assert.deepEqual(await scene.claimIds({ queues: [], others: 1, maxLosses: 1, id: null }), [
      lost.id,
    ])
  },

  'a suspect waits while its queue is paused or its limit is zero': async (scene) => {
    const lost = await scene.running()
    await scene.makeSuspect(lost)
    assert.deepEqual(
      await scene.claim({ queues: [{ name: 'queue', limit: 0 }], maxLosses: 9, id: null }),
      [],
    )
    assert.deepEqual(await scene.claim({ limit: 0, maxLosses: 9, id: null }), [])
    await scene.store.pause(['queue'])
    assert.deepEqual(await scene.claim({ maxLosses: 9, id: null }), [])
  },

  'a suspect that is due later is not claimed before, and keeps its place before newer jobs':
    async (scene) => {
      const lost = await scene.running()
      const counters = counted({ attempts: 1, losses: 1 })
      await scene.settle(requeue(lost, { counters, delayMs: minute, suspect: true, started: true }))
      const newer = await scene.enqueue()
      assert.deepEqual(await scene.claimIds({ maxLosses: 9, limit: 0 }), [])
      await scene.advance(minute + 1)
      assert.deepEqual(await scene.claimIds({ maxLosses: 9, id: null }), [lost.id])
      assert.deepEqual(await scene.claimIds({ maxLosses: 9, id: null }), [newer])
    },

  'once a suspect, always a suspect, until it ends': async (scene) => {
    await scene.makeSuspect(await scene.running())
    const job = await scene.claimOne()
    await scene.settle(requeue(job, { counters: job.counters, suspect: false }))
    await scene.enqueue()
    assert.deepEqual(await scene.claimIds({ maxLosses: 1, id: null }), [job.id])
  },

  'an operator who retries a suspect makes it an ordinary job': async (scene) => {
    await scene.makeSuspect(await scene.running())
    const job = await scene.claimOne()
    await scene.settle(finish(job, { state: 'failed', reason: 'poison' }))
    await scene.store.retry([job.id])
    const other = await scene.enqueue()
    assert.deepEqual(await scene.claimIds({ maxLosses: null, id: null }), [job.id, other])
    await scene.shows(job.id, { startedAt: null })
  },

  'a suspect that is lost again is swept as started': async (scene) => {
    await scene.makeSuspect(await scene.running())
    const now = await scene.now()
    const job = await scene.claimOne()
    const swept = await scene.rescue()
    assert.deepEqual([swept.id, swept.why], [job.id, 'lost'])
    scene.near(swept.startedAt, now)
  },
})
