import assert from 'node:assert/strict'
import { mostHeadStartMs } from '../../core/job.ts'
import { isErrandError } from '../../core/errors.ts'
import type { Rule } from './harness.ts'
import { requeue, finish, minute, newJob, unique } from './jobs.ts'
import { rulesOf } from './rule.ts'

/** Jobs that stand in their line as if they had been due at another time. */
export const headStartRules: readonly Rule[] = rulesOf('head start', {
  'within a priority jobs stand by their due time less their head start': async (scene) => {
    const now = await scene.now()
    const ids: string[] = []
    for (const headStartMs of [0, 2_000, -2_000, 3_000, -3_000])
      ids.push(await scene.enqueue({ headStartMs }))
    const due = await scene.enqueue({ runAt: now - minute })
    const urgent = await scene.enqueue({ priority: -1, headStartMs: -minute })
    await scene.advance(1)
    const order = [urgent, due, ids[3], ids[1], ids[0], ids[2], ids[4]]
    assert.deepEqual(await scene.claimIds(), order)
  },

  'jobs of one batch stand by their head starts, then in the order of the batch': async (scene) => {
    const jobs = [0, 5_000, 0, 5_000, -5_000, 0].map((headStartMs) => newJob({ headStartMs }))
    await scene.store.insert(jobs)
    const order = [1, 3, 0, 2, 5, 4].map((at) => jobs[at]?.id)
    assert.deepEqual(await scene.claimIds(), order)
  },

  'a job that stands behind its due time is overtaken by newer ones for that long': async (
    scene,
  ) => {
    const waiting = await scene.enqueue({ headStartMs: -minute })
    await scene.advance(minute / 2)
    const [first, second] = [newJob(), newJob()]
    await scene.store.insert([first, second])
    await scene.advance(minute / 2 + 1_000)
    const late = await scene.enqueue()
    assert.deepEqual(await scene.claimIds({ limit: 1 }), [first.id])
    assert.deepEqual(await scene.claimIds(), [second.id, waiting, late])
  },

  'a job with a delay stands before its due time, but is not due before it': async (scene) => {
    const early = await scene.enqueue({ delayMs: minute, headStartMs: minute })
    await scene.advance(minute / 2)
    const between = await scene.enqueue()
    assert.deepEqual(await scene.claimIds({ queues: [{ name: 'other', limit: 1 }] }), [])
    await scene.advance(minute)
    assert.deepEqual(await scene.claimIds(), [early, between])
  },

  'a head start holds after a retry, and a job that is given back keeps its place': async (
    scene,
  ) => {
    const job = await scene.running({ headStartMs: 2 * minute })
    await scene.advance(minute)
    const other = await scene.enqueue()
    await scene.settle(requeue(job, { place: 'due', delayMs: minute }))
    await scene.advance(minute + 1)
    const again = await scene.claimOne()
    assert.equal(again.id, job.id)
    await scene.settle(requeue(again))
    assert.deepEqual(await scene.claimIds(), [job.id, other])
  },

  'a suspect stands by its head start': async (scene) => {
    const lost = await scene.running({ headStartMs: -minute })
    const before = await scene.enqueue()
    await scene.makeSuspect(lost)
    await scene.advance(minute + 1)
    const after = await scene.enqueue()
    assert.deepEqual(await scene.claimIds({ limit: 1 }), [before])
    assert.deepEqual(await scene.claimIds({ maxLosses: 1 }), [lost.id])
    assert.deepEqual(await scene.claimIds(), [after])
  },

  'a head start counts from when a job became free of what it needs, alone or with others': async (
    scene,
  ) => {
    for (const count of [1, 20]) {
      const many = Array.from({ length: count }, () => newJob({ queue: 'needed' }))
      await scene.store.insert(many)
      const needed = await scene.claim({ queues: [{ name: 'needed', limit: count }], limit: count })
      const needs = [{ kind: 'job', id: many[0]!.id, onFailed: 'cancel' }] as const
      const [early, late] = [minute, -minute].map((headStartMs) => newJob({ needs, headStartMs }))
      await scene.store.insert([newJob({ needs, queue: 'other' }), late!, early!])
      await scene.advance(minute / 2)
      const before = await scene.enqueue()
      await scene.advance(1_000)
      await scene.store.settle(needed.map((job) => finish(job)))
      await scene.advance(minute / 2)
      const after = await scene.enqueue()
      const queues = [{ name: 'queue', limit: 10 }]
      assert.deepEqual(await scene.claimIds({ queues }), [early?.id, before, after, late?.id])
    }
  },

  'a head start holds after the retry of an operator': async (scene) => {
    const jobs = [await scene.running({ headStartMs: -minute }), await scene.running()]
    for (const job of jobs) await scene.settle(finish(job, { state: 'failed' }))
    await scene.store.retry(jobs.map(({ id }) => id))
    await scene.advance(1_000)
    const newer = await scene.enqueue()
    assert.deepEqual(await scene.claimIds(), [jobs[1]?.id, newer, jobs[0]?.id])
  },

  'replace brings its head start, counted from when the job that it replaces was due': async (
    scene,
  ) => {
    const rules = ['a', 'b'].map((key) => unique(key, { onConflict: 'replace' }))
    const [a, b] = rules
    const put = await scene.enqueue({ unique: a!, headStartMs: minute })
    const brought = await scene.enqueue({ unique: b! })
    await scene.advance(1_000)
    const other = await scene.enqueue()
    await scene.tryInsert({ unique: a!, headStartMs: -500 })
    await scene.tryInsert({ unique: b!, headStartMs: -minute })
    assert.deepEqual(await scene.claimIds(), [put, other, brought])
  },

  'follow-ups stand by their head starts': async (scene) => {
    const job = await scene.running()
    const followUps = [newJob(), newJob({ headStartMs: 1_000 })]
    await scene.settle(finish(job, { followUps }))
    assert.deepEqual(await scene.claimIds(), [followUps[1]?.id, followUps[0]?.id])
  },

  'a job with a head start can be cancelled, changed and counted as any': async (scene) => {
    const id = await scene.enqueue({ headStartMs: 5_000 })
    const line = await scene.enqueue({ headStartMs: -5_000 })
    await scene.shows(id, { state: 'ready', priority: 0 })
    assert.deepEqual(await scene.store.cancel([id], null), ['cancelled'])
    assert.deepEqual(await scene.store.remove([line]), ['removed'])
    assert.deepEqual(await scene.claimIds(), [])
  },

  'an insert is refused as a whole for a head start out of bounds': async (scene) => {
    for (const headStartMs of [0.5, Number.NaN, mostHeadStartMs + 1, -mostHeadStartMs - 1]) {
      const [first, second] = [newJob(), newJob({ headStartMs })]
      await assert.rejects(scene.store.insert([first, second]), (error) =>
        isErrandError(error, 'invalid-option'),
      )
      assert.deepEqual(await scene.store.get([first.id, second.id]), [null, null])
    }
    const last = await scene.enqueue({ headStartMs: -mostHeadStartMs })
    const first = await scene.enqueue({ headStartMs: mostHeadStartMs })
    assert.deepEqual(await scene.claimIds(), [first, last])
  },
})
