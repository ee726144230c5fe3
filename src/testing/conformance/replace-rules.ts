import assert from 'node:assert/strict'
import { noCounters } from '../../core/job.ts'
import type { NewJob } from '../../store/job.ts'
import type { Rule } from './harness.ts'
import { requeue, counted, finish, hour, minute, newJob, unique } from './jobs.ts'
import { rulesOf } from './rule.ts'

const key = 'k'

/** A job that meets a held key may change the waiting holder instead of being left out. */
export const replaceRules: readonly Rule[] = rulesOf('unique', {
  'replace gives a waiting job the new input, options, priority, queue and clocks': async (
    scene,
  ) => {
    const rule = unique(key, { onConflict: 'replace' })
    const parent = newJob().id
    const id = await scene.enqueue({
      unique: rule,
      parent,
      delayMs: hour,
      startWithinMs: 1,
      deadlineMs: 2,
      input: '1',
    })
    const before = await scene.job(id)
    await scene.advance(1_000)
    const now = await scene.now()
    const replacing: Partial<NewJob> = {
      unique: rule,
      input: '2',
      options: '{"b":1}',
      codec: 'c',
      priority: -3,
      queue: 'second',
      delayMs: minute,
      startWithinMs: 10,
      deadlineMs: hour,
      keepCancelledMs: minute,
      parent: newJob().id,
    }
    const [answer] = await scene.store.insert([newJob(replacing)])
    assert.deepEqual(answer, { id, status: 'replaced', token: null })
    scene.same(await scene.job(id), {
      ...before,
      state: 'scheduled',
      input: '2',
      options: '{"b":1}',
      codec: 'c',
      priority: -3,
      queue: 'second',
      dueAt: now + minute,
      startBy: now + minute + 10,
      deadlineAt: now + hour,
    })
    await scene.store.cancel([id], null)
    await scene.shows(id, { expiresAt: now + minute })
  },

  'replace-in-queue changes a job of its own queue, and leaves one of another as it is': async (
    scene,
  ) => {
    const rule = unique(key, { onConflict: 'replace-in-queue' })
    const id = await scene.enqueue({ unique: rule, queue: 'one', input: '1', delayMs: hour })
    const before = await scene.job(id)
    const other = newJob({ unique: rule, queue: 'two', input: '2' })
    const [refused] = await scene.store.insert([other])
    assert.deepEqual(refused, { id, status: 'duplicate', token: null })
    scene.same(await scene.job(id), before)
    const own = newJob({ unique: rule, queue: 'one', input: '3' })
    const [replaced] = await scene.store.insert([own])
    assert.deepEqual(replaced, { id, status: 'replaced', token: null })
    await scene.shows(id, { queue: 'one', input: '3', state: 'ready' })
  },

  'replace that is due now makes a scheduled job ready in its new queue': async (scene) => {
    const rule = unique(key, { onConflict: 'replace' })
    const id = await scene.enqueue({ unique: rule, delayMs: hour })
    await scene.tryInsert({ unique: rule, queue: 'second' })
    assert.deepEqual(await scene.claim(), [])
    assert.deepEqual(await scene.claimIds({ queues: [{ name: 'second', limit: 1 }] }), [id])
  },

  'replace that is due later takes a ready job out of the line': async (scene) => {
    const rule = unique(key, { onConflict: 'replace' })
    const id = await scene.enqueue({ unique: rule })
    await scene.tryInsert({ unique: rule, delayMs: minute })
    assert.deepEqual(await scene.claim(), [])
    await scene.advance(minute + 1)
    assert.deepEqual(await scene.claimIds(), [id])
  },

  'replace of a job that is due keeps its place, however often, also in another queue': async (
    scene,
  ) => {
    const rule = unique(key, { onConflict: 'replace' })
    const before = await scene.enqueue()
    await scene.advance(1)
    const id = await scene.enqueue({ unique: rule })
    await scene.advance(1)
    const [after, second] = [await scene.enqueue(), await scene.enqueue({ queue: 'second' })]
    for (const queue of ['queue', 'queue', 'second']) {
      await scene.advance(1_000)
      assert.equal(await scene.tryInsert({ unique: rule, queue }), 'replaced')
    }
    const queues = [{ name: 'second', limit: 5 }]
    assert.deepEqual(await scene.claimIds({ queues }), [id, second])
    assert.deepEqual(await scene.claimIds(), [before, after])
  },

  'replace of a job whose due time has come keeps its place, though nobody asked for jobs since':
    async (scene) => {
      const rule = unique(key, { onConflict: 'replace' })
      const id = await scene.enqueue({ unique: rule, delayMs: 1_000 })
      await scene.advance(2_000)
      const other = await scene.enqueue()
      await scene.advance(1_000)
      await scene.tryInsert({ unique: rule })
      assert.deepEqual(await scene.claimIds(), [id, other])
    },

  'replace of a job that is not due yet lines it up behind those that are': async (scene) => {
    const rule = unique(key, { onConflict: 'replace' })
    const id = await scene.enqueue({ unique: rule, delayMs: hour })
    const other = await scene.enqueue()
    await scene.advance(1_000)
    await scene.tryInsert({ unique: rule })
    assert.deepEqual(await scene.claimIds(), [other, id])
  },

  'replace keeps no place that the new priority does not have': async (scene) => {
    const rule = unique(key, { onConflict: 'replace' })
    const id = await scene.enqueue({ unique: rule })
    await scene.advance(1)
    const other = await scene.enqueue()
    await scene.tryInsert({ unique: rule, priority: 1 })
    assert.deepEqual(await scene.claimIds(), [other, id])
  },

  'replace puts a job off no further than maxWaitMs after its insert': async (scene) => {
    const rule = unique(key, { onConflict: 'replace', maxWaitMs: 2 * minute })
    const id = await scene.enqueue({ unique: rule, delayMs: minute })
    const { createdAt } = await scene.job(id)
    await scene.advance(minute / 2)
    const startWithinMs = 10
    await scene.tryInsert({ unique: rule, delayMs: minute })
    await scene.shows(id, { dueAt: (await scene.now()) + minute })
    await scene.advance(minute)
    await scene.tryInsert({ unique: rule, delayMs: minute, startWithinMs })
    const latest = createdAt + 2 * minute
    await scene.shows(id, { state: 'scheduled', dueAt: latest, startBy: latest + startWithinMs })
    await scene.tryInsert({ unique: rule, runAt: latest + hour })
    await scene.shows(id, { state: 'scheduled', dueAt: latest })
    await scene.advance(hour)
    await scene.tryInsert({ unique: rule, delayMs: minute, startWithinMs })
    const now = await scene.now()
    await scene.shows(id, { state: 'ready', dueAt: now, startBy: now + startWithinMs })
    await scene.tryInsert({ unique: { ...rule, maxWaitMs: null }, delayMs: minute })
    await scene.shows(id, { state: 'scheduled', dueAt: (await scene.now()) + minute })
  },

  'maxWaitMs bounds those that replace, not the first': async (scene) => {
    const rule = unique(key, { onConflict: 'replace', maxWaitMs: minute })
    const id = await scene.enqueue({ unique: rule, delayMs: hour })
    await scene.shows(id, { state: 'scheduled', dueAt: (await scene.now()) + hour })
  },

  'replace leaves a blocked job blocked': async (scene) => {
    const rule = unique(key, { onConflict: 'replace' })
    const need = await scene.enqueue({ queue: 'needs' })
    const id = await scene.enqueue({
      unique: rule,
      needs: [{ kind: 'job', id: need, onFailed: 'cancel' }],
    })
    assert.equal(await scene.tryInsert({ unique: rule, input: '2' }), 'replaced')
    await scene.shows(id, { state: 'blocked', input: '2' })
    await scene.settle(finish(await scene.claimOne({ queues: [{ name: 'needs', limit: 1 }] })))
    assert.deepEqual(await scene.claimIds(), [id])
  },

  'replace starts with fresh counters, and keeps errors, token and log': async (scene) => {
    const rule = unique(key, { onConflict: 'replace' })
    const job = await scene.running({ unique: rule })
    const { id, token } = job
    await scene.store.note([{ id, token, kind: 'log', agoMs: 0, level: 'info', text: 'l' }])
    const counters = counted({ attempts: 3, failures: 2, postpones: 1, interruptions: 1 })
    await scene.settle(requeue(job, { counters, attempt: '"e"', delayMs: hour, started: true }))
    assert.equal(await scene.tryInsert({ unique: rule, input: '2' }), 'replaced')
    await scene.shows(id, {
      input: '2',
      counters: noCounters,
      attempts: ['"e"'],
      token,
      state: 'ready',
    })
    assert.equal((await scene.store.logs(id)).length, 1)
    const claimed = await scene.claimOne()
    assert.deepEqual([claimed.id, claimed.input, claimed.counters], [id, '2', noCounters])
  },

  'replace makes a suspect a job like any other': async (scene) => {
    const rule = unique(key, { onConflict: 'replace' })
    const job = await scene.running({ unique: rule })
    await scene.makeSuspect(job)
    assert.deepEqual(await scene.claim(), [])
    assert.equal(await scene.tryInsert({ unique: rule, input: '2' }), 'replaced')
    assert.deepEqual(await scene.claimIds(), [job.id])
  },

  'replace against a running or finished holder is a duplicate': async (scene) => {
    const rule = unique(key, { during: ['ready', 'running', 'completed'], onConflict: 'replace' })
    const job = await scene.running({ unique: rule })
    const replacing = newJob({ unique: rule, input: '2' })
    const duplicate = [{ id: job.id, status: 'duplicate', token: null }]
    assert.deepEqual(await scene.changesNothing(() => scene.store.insert([replacing])), duplicate)
    await scene.settle(finish(job))
    assert.deepEqual(await scene.changesNothing(() => scene.store.insert([replacing])), duplicate)
  },
})
