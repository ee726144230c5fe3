import assert from 'node:assert/strict'
import { noCounters } from '../../core/job.ts'
import type { Rule } from './harness.ts'
import { requeue, counted, finish, hour, leaseMs, minute, newJob, workerOf } from './jobs.ts'
import { rulesOf } from './rule.ts'

const cancelRules: readonly Rule[] = rulesOf('cancel', {
  'a cancelled job keeps its reason, is kept for its own time, and never runs': async (scene) => {
    const ids = [
      await scene.enqueue({ keepCancelledMs: minute }),
      await scene.enqueue({ delayMs: minute, keepCancelledMs: null }),
    ]
    const now = await scene.now()
    assert.deepEqual(await scene.store.cancel(ids, 'unwanted'), ['cancelled', 'cancelled'])
    const ended = { state: 'cancelled', reason: 'unwanted', finishedAt: now } as const
    await scene.shows(ids[0]!, { ...ended, expiresAt: now + minute })
    await scene.shows(ids[1]!, { ...ended, expiresAt: null })
    await scene.advance(hour)
    assert.deepEqual(await scene.claim(), [])
    assert.equal((await scene.store.tend(workerOf())).nextDueMs, null)
  },

  'a cancelled job that is kept for no time is gone at once': async (scene) => {
    const id = await scene.enqueue({ keepCancelledMs: 0 })
    assert.deepEqual(await scene.store.cancel([id], null), ['cancelled'])
    assert.equal(await scene.isKnown(id), false)
    assert.deepEqual(await scene.store.counts(), [])
  },

  'a running job is asked to end, as often as one likes, and keeps its lease': async (scene) => {
    const job = await scene.running()
    const other = await scene.another()
    assert.deepEqual(await scene.store.cancel([job.id], 'a'), ['asked'])
    assert.deepEqual(await scene.changesNothing(() => other.cancel([job.id], 'a')), ['asked'])
    await scene.shows(job.id, { state: 'running', cancelAsked: true, token: job.token })
    assert.equal(await scene.settle(finish(job, { output: '1' })), 'settled')
    assert.deepEqual(await scene.store.cancel([job.id], 'a'), ['final'])
    await scene.shows(job.id, { state: 'completed' })
  },

  'a cancel that was asked of one run does not reach the next': async (scene) => {
    const job = await scene.running()
    await scene.store.cancel([job.id], null)
    await scene.settle(requeue(job))
    const next = await scene.claimOne()
    assert.equal(next.cancelAsked, false)
    assert.deepEqual(await scene.store.renew([next], leaseMs), ['renewed'])
  },

  'a batch of cancels answers each for itself, in order': async (scene) => {
    const running = await scene.running()
    const ended = await scene.running()
    await scene.settle(finish(ended))
    const waiting = await scene.enqueue()
    const answers = await scene.store.cancel(
      [newJob().id, ended.id, waiting, running.id, waiting],
      null,
    )
    assert.deepEqual(answers, ['missing', 'final', 'cancelled', 'asked', 'final'])
  },

  '1,000 jobs are cancelled in one call': async (scene) => {
    const jobs = Array.from({ length: 1_000 }, () => newJob())
    await scene.store.insert(jobs)
    const answers = await scene.store.cancel(
      jobs.map((job) => job.id),
      null,
    )
    assert.ok(answers.every((answer) => answer === 'cancelled'))
    assert.deepEqual(await scene.store.counts(), [
      { queue: 'queue', state: 'cancelled', count: 1_000 },
    ])
  },
})

const retryRules: readonly Rule[] = rulesOf('retry', {
  'a retried job starts anew: counters and clocks from now, its errors and log kept': async (
    scene,
  ) => {
    const job = await scene.running({ startWithinMs: minute, deadlineMs: hour })
    const { id, token } = job
    await scene.store.note([
      { id, token, kind: 'log', agoMs: 0, level: 'info', text: 'x' },
      { id, token, kind: 'progress', value: '1' },
    ])
    const counters = counted({ attempts: 9, failures: 9, losses: 2 })
    await scene.settle(finish(job, { state: 'failed', counters, attempt: '"e"', reason: 'error' }))
    await scene.advance(2 * hour)
    const now = await scene.now()
    assert.deepEqual(await scene.store.retry([id]), ['retried'])
    await scene.shows(id, {
      state: 'ready',
      counters: noCounters,
      attempts: ['"e"'],
      dueAt: now,
      startBy: now + minute,
      deadlineAt: now + hour,
      output: null,
      reason: null,
      progress: null,
      startedAt: null,
      finishedAt: null,
      expiresAt: null,
      createdAt: (await scene.job(id)).createdAt,
    })
    assert.equal((await scene.store.logs(id)).length, 1)
    assert.deepEqual(await scene.sweep(), [])
    const next = await scene.claimOne()
    assert.deepEqual([next.id, next.counters], [id, noCounters])
  },

  'a retried job stands behind what waits already': async (scene) => {
    const job = await scene.running()
    await scene.settle(finish(job, { state: 'failed' }))
    const waiting = await scene.enqueue()
    await scene.advance(1)
    await scene.store.retry([job.id])
    assert.deepEqual(await scene.claimIds(), [waiting, job.id])
  },

  'a retried job outlives the retention that it had': async (scene) => {
    const job = await scene.running()
    await scene.settle(finish(job, { state: 'failed', keepMs: minute }))
    await scene.store.retry([job.id])
    await scene.advance(hour)
    await scene.store.prune({ limit: 10, cap: 0 })
    assert.deepEqual(await scene.claimIds(), [job.id])
  },

  'a job cancelled for a failed need is retried without waiting for it': async (scene) => {
    const need = await scene.enqueue({ queue: 'needs' })
    const id = await scene.enqueue({ needs: [{ kind: 'job', id: need, onFailed: 'cancel' }] })
    await scene.store.cancel([need], null)
    assert.deepEqual(await scene.store.retry([id]), ['retried'])
    const job = await scene.claimOne()
    assert.equal(job.id, id)
    await scene.settle(requeue(job))
    assert.deepEqual(await scene.claimIds(), [id])
  },

  'a completed, waiting or running job is unfit for retry': async (scene) => {
    const [a, b] = [await scene.running(), await scene.running()]
    await scene.settle(finish(a))
    const c = await scene.enqueue()
    const answers = await scene.changesNothing(() =>
      scene.store.retry([a.id, b.id, c, newJob().id]),
    )
    assert.deepEqual(answers, ['unfit', 'unfit', 'unfit', 'missing'])
  },

  'a job retried twice in one call runs once': async (scene) => {
    const job = await scene.running()
    await scene.settle(finish(job, { state: 'failed' }))
    assert.deepEqual(await scene.store.retry([job.id, job.id]), ['retried', 'unfit'])
    assert.equal((await scene.claim()).length, 1)
  },
})

export const operatorRules: readonly Rule[] = [...cancelRules, ...retryRules]
