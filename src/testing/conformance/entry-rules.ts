import assert from 'node:assert/strict'
import { isErrandError } from '../../core/errors.ts'
import type { NewJob } from '../../store/job.ts'
import type { Rule } from './harness.ts'
import { claimOf, finish, hour, leaseMs, minute, newJob, requeue, unique } from './jobs.ts'
import { rulesOf } from './rule.ts'
import { only } from './scene.ts'

/** Jobs that enter as failed, claims that are repeated, and whom a lost job was taken from. */
export const entryRules: readonly Rule[] = rulesOf('entry', {
  'a job may enter as failed, and retry makes it ready': async (scene) => {
    const now = await scene.now()
    const id = await scene.enqueue({ ...parked(), startWithinMs: minute })
    await scene.shows(id, {
      state: 'failed',
      reason: 'invalid-input',
      attempts: ['{"error":"why"}'],
      finishedAt: now,
      expiresAt: now + hour,
      startedAt: null,
      token: 0,
    })
    assert.deepEqual(await scene.claim(), [])
    assert.deepEqual(await scene.store.counts(), [{ queue: 'queue', state: 'failed', count: 1 }])
    assert.deepEqual(await scene.store.retry([id]), ['retried'])
    await scene.shows(id, { state: 'ready', reason: null, attempts: ['{"error":"why"}'] })
    assert.equal((await scene.claimOne()).id, id)
  },

  'a job that enters as failed asks for no unique key, takes it with its retry, and meets needs':
    async (scene) => {
      const rule = unique('k', { during: ['ready', 'running', 'failed'], forMs: minute })
      const id = await scene.enqueue({ ...parked(), unique: rule })
      const holder = await scene.enqueue({ unique: rule })
      assert.equal(await scene.tryInsert({ ...parked(), unique: rule }), 'created')
      assert.deepEqual(await scene.store.retry([id]), ['duplicate'])
      await scene.store.remove([holder])
      assert.deepEqual(await scene.store.retry([id]), ['retried'])
      assert.equal(await scene.tryInsert({ unique: rule }), 'duplicate')

      const failed = newJob(parked())
      const waits = newJob({ needs: [{ kind: 'job', id: failed.id, onFailed: 'run' }] })
      await scene.store.insert([failed, waits])
      await scene.shows(waits.id, { state: 'ready' })
    },

  'a job that enters as failed is kept as long as it says': async (scene) => {
    const entry = { kind: 'failed', reason: 'why', attempt: null, keepMs: 0 } as const
    const gone = newJob({ entry })
    assert.equal(only(await scene.store.insert([gone])).status, 'created')
    assert.equal(await scene.isKnown(gone.id), false)
    const kept = await scene.enqueue({ entry: { ...entry, keepMs: minute } })
    const forever = await scene.enqueue({ entry: { ...entry, keepMs: null } })
    await scene.advance(minute + 1)
    await scene.store.prune({ limit: 100, cap: 100 })
    assert.deepEqual([await scene.isKnown(kept), await scene.isKnown(forever)], [false, true])
  },

  'a repeated insert of a job that entered as failed adds nothing': async (scene) => {
    const job = newJob(parked())
    await scene.store.insert([job])
    const answers = await scene.changesNothing(() => scene.store.insert([job]))
    assert.deepEqual(answers, [{ id: job.id, status: 'created', token: null }])
  },

  'a job that enters by another way has no needs': async (scene) => {
    const needs = [{ kind: 'job', id: newJob().id, onFailed: 'run' }] as const
    for (const entry of [parked().entry, { kind: 'running', worker: 'w', leaseMs }] as const) {
      const job = newJob({ entry, needs })
      const call = scene.store.insert([job])
      await assert.rejects(call, (error) => isErrandError(error, 'invalid-option'))
      assert.equal(await scene.isKnown(job.id), false)
    }
  },

  'a claim that is repeated with its id returns the same leases and claims no others': async (
    scene,
  ) => {
    const ids = [await scene.enqueue(), await scene.enqueue(), await scene.enqueue()]
    const request = claimOf({ id: newJob().id, limit: 2 })
    const first = await scene.store.claim(request)
    assert.deepEqual(
      first.jobs.map(({ id }) => id),
      ids.slice(0, 2),
    )
    const second = await scene.changesNothing(() => scene.store.claim(request))
    assert.deepEqual(byId(second.jobs), byId(first.jobs))
    const [one, two] = first.jobs
    await scene.settle(finish(one!))
    assert.deepEqual((await scene.store.claim(request)).jobs, [two])
    await scene.settle(requeue(two!))
    assert.deepEqual((await scene.store.claim(request)).jobs, [])
    assert.equal((await scene.claim()).length, 2)
  },

  'a claim that found nothing may be repeated, and another id claims as ever': async (scene) => {
    const empty = claimOf({ id: newJob().id })
    assert.deepEqual((await scene.store.claim(empty)).jobs, [])
    const id = await scene.enqueue()
    const other = claimOf({ id: newJob().id })
    assert.deepEqual(
      (await scene.store.claim(other)).jobs.map((job) => job.id),
      [id],
    )
    assert.equal((await scene.store.claim(other)).jobs.length, 1)
  },

  'a job that was rescued tells whom it was taken from': async (scene) => {
    const job = await scene.running()
    assert.equal(job.lostBy, null)
    const rescued = await scene.rescue()
    assert.deepEqual(rescued.lostBy, { worker: 'worker', token: job.token })
    await scene.advance(leaseMs + 1)
    const second = only(await scene.sweep())
    assert.deepEqual(second.lostBy, { worker: 'sweeper', token: rescued.token })
  },
})

function parked(): Partial<NewJob> & { readonly entry: NonNullable<NewJob['entry']> } {
  const attempt = '{"error":"why"}'
  return { entry: { kind: 'failed', reason: 'invalid-input', attempt, keepMs: hour } }
}

function byId<T extends { readonly id: string }>(jobs: readonly T[]): readonly T[] {
  return jobs.toSorted((a, b) => (a.id < b.id ? -1 : 1))
}
