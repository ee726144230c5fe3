import assert from 'node:assert/strict'
import type { NewJob } from '../../store.ts'
import type { Rule } from './harness.ts'
import { again, counted, finish, hour, minute, newJob, unique } from './jobs.ts'
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

  'replace lines a ready job up anew': async (scene) => {
    const rule = unique(key, { onConflict: 'replace' })
    const id = await scene.enqueue({ unique: rule })
    const other = await scene.enqueue()
    await scene.advance(1_000)
    await scene.tryInsert({ unique: rule })
    assert.deepEqual(await scene.claimIds(), [other, id])
  },

  'replace leaves a blocked job blocked': async (scene) => {
    const rule = unique(key, { onConflict: 'replace' })
    const need = await scene.enqueue({ queue: 'needs' })
    const id = await scene.enqueue({ unique: rule, needs: [{ id: need, onFailed: 'cancel' }] })
    assert.equal(await scene.tryInsert({ unique: rule, input: '2' }), 'replaced')
    await scene.shows(id, { state: 'blocked', input: '2' })
    await scene.settle(finish(await scene.claimOne({ queues: [{ name: 'needs', limit: 1 }] })))
    assert.deepEqual(await scene.claimIds(), [id])
  },

  'replace keeps what the job went through': async (scene) => {
    const rule = unique(key, { onConflict: 'replace' })
    const job = await scene.running({ unique: rule })
    const counters = counted({ attempts: 1, failures: 1 })
    await scene.settle(again(job, { counters, error: '"e"', delayMs: hour, started: true }))
    assert.equal(await scene.tryInsert({ unique: rule, input: '2' }), 'replaced')
    await scene.shows(job.id, {
      input: '2',
      counters,
      errors: ['"e"'],
      token: job.token,
      state: 'ready',
    })
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
