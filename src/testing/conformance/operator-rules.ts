import assert from 'node:assert/strict'
import { noCounters } from '../../core/job.ts'
import type { Rule } from './harness.ts'
import { again, counted, finish, hour, leaseMs, minute, newJob } from './jobs.ts'
import { rulesOf } from './rule.ts'
import { only } from './scene.ts'
import { situationNames, situations } from './situations.ts'

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
    assert.equal((await scene.store.tend({ ...worker, id: 'w' })).nextDueMs, null)
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
    await scene.settle(again(job))
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
    await scene.settle(finish(job, { state: 'failed', counters, error: '"e"', reason: 'error' }))
    await scene.advance(2 * hour)
    const now = await scene.now()
    assert.deepEqual(await scene.store.retry([id]), ['retried'])
    await scene.shows(id, {
      state: 'ready',
      counters: noCounters,
      errors: ['"e"'],
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
    assert.deepEqual(await scene.expired(), [])
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
    const id = await scene.enqueue({ needs: [{ id: need, onFailed: 'cancel' }] })
    await scene.store.cancel([need], null)
    assert.deepEqual(await scene.store.retry([id]), ['retried'])
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

const removeRules: readonly Rule[] = rulesOf('remove and take', {
  'a removed job is gone from every reader, and is not claimed, promoted, swept or counted': async (
    scene,
  ) => {
    const ids = [
      await scene.enqueue({ startWithinMs: 1 }),
      await scene.enqueue({ delayMs: minute, deadlineMs: 1 }),
    ]
    assert.deepEqual(await scene.store.remove(ids), ['removed', 'removed'])
    await scene.advance(hour)
    assert.deepEqual(await scene.picture(), { jobs: [], counts: [], logs: [] })
    assert.deepEqual(await scene.claim(), [])
    assert.deepEqual(await scene.expired(), [])
    const tended = await scene.store.tend(worker)
    assert.deepEqual(
      [tended.ready, tended.nextDueMs, tended.sweep, tended.prune],
      [false, null, false, false],
    )
  },

  'a removed id may be inserted again as a new job': async (scene) => {
    const job = newJob({ input: '1' })
    await scene.store.insert([job])
    await scene.settle(finish(await scene.claimOne(), { error: '"e"' }))
    await scene.store.remove([job.id])
    await scene.store.insert([{ ...job, input: '2' }])
    await scene.shows(job.id, {
      state: 'ready',
      input: '2',
      token: 0,
      errors: [],
      counters: noCounters,
    })
  },

  'a running job is not removed': async (scene) => {
    const job = await scene.running()
    assert.deepEqual(await scene.changesNothing(() => scene.store.remove([job.id])), ['running'])
    assert.equal(await scene.settle(finish(job)), 'settled')
  },

  'take reads a finished job as it was and removes it': async (scene) => {
    const job = await scene.running()
    await scene.settle(finish(job, { output: '{"a":1}' }))
    const stored = await scene.job(job.id)
    const other = await scene.another()
    assert.deepEqual(await other.take([job.id]), [stored])
    assert.deepEqual(await scene.store.take([job.id]), [null])
    assert.deepEqual(await scene.picture(), { jobs: [], counts: [], logs: [] })
  },

  'of the same id twice in one take the first gets the job': async (scene) => {
    const job = await scene.running()
    await scene.settle(finish(job))
    const [first, second] = await scene.store.take([job.id, job.id])
    assert.deepEqual([first?.state, second], ['completed', null])
  },

  'take shows a job that is not final and leaves it': async (scene) => {
    for (const name of situationNames) {
      if (name === 'unknown' || situations[name].state === 'running') continue
      const { id } = await situations[name].reach(scene, {})
      const before = await scene.job(id)
      if (before.finishedAt === null)
        assert.deepEqual(await scene.changesNothing(() => scene.store.take([id])), [before])
      await scene.store.remove([id])
    }
  },
})

const pruneRules: readonly Rule[] = rulesOf('prune', {
  'a finished job is kept for its time and then pruned': async (scene) => {
    const job = await scene.running()
    await scene.settle(finish(job, { keepMs: minute }))
    await scene.advance(minute - scene.slackMs - 1)
    assert.deepEqual(
      await scene.changesNothing(() => scene.store.prune({ limit: 9, cap: 9 })),
      none,
    )
    assert.equal((await scene.store.tend(worker)).prune, false)
    await scene.advance(scene.slackMs + 1)
    assert.equal((await scene.store.tend(worker)).prune, true)
    assert.deepEqual(await scene.store.prune({ limit: 9, cap: 9 }), { removed: 1, more: false })
    assert.equal(await scene.isKnown(job.id), false)
    assert.equal((await scene.store.tend(worker)).prune, false)
  },

  'a job that is kept for ever is never pruned by time': async (scene) => {
    const job = await scene.running()
    await scene.settle(finish(job, { keepMs: null }))
    await scene.advance(100_000 * hour)
    assert.equal((await scene.store.tend(worker)).prune, false)
    assert.deepEqual(await scene.store.prune({ limit: 9, cap: 9 }), none)
    assert.equal(await scene.isKnown(job.id), true)
  },

  'beyond the cap the oldest endings go, whatever their retention': async (scene) => {
    const ids: string[] = []
    for (const keepMs of [null, hour, minute, hour]) {
      const job = await scene.running()
      await scene.settle(finish(job, { keepMs }))
      ids.push(job.id)
      await scene.advance(10)
    }
    assert.deepEqual(await scene.store.prune({ limit: 9, cap: 2 }), { removed: 2, more: false })
    assert.deepEqual(
      (await scene.store.get(ids)).map((job) => job !== null),
      [false, false, true, true],
    )
  },

  'prune works in chunks and tells whether to come back': async (scene) => {
    await scene.store.insert(Array.from({ length: 10 }, () => newJob()))
    await scene.store.settle((await scene.claim()).map((job) => finish(job, { keepMs: minute })))
    await scene.advance(minute + 1)
    const removed: number[] = []
    for (let more = true, calls = 0; more && calls < 9; calls += 1) {
      const answer = await scene.store.prune({ limit: 4, cap: 100 })
      removed.push(answer.removed)
      more = answer.more
    }
    assert.deepEqual(removed, [4, 4, 2])
  },

  'jobs that are not final are never pruned': async (scene) => {
    const names = ['blocked', 'scheduled', 'scheduled again', 'suspect'] as const
    for (const name of names) await situations[name].reach(scene, {})
    await scene.store.cancel([(await scene.running({ queue: 'x' })).id], null)
    await scene.advance(100_000 * hour)
    assert.deepEqual(
      await scene.changesNothing(() => scene.store.prune({ limit: 100, cap: 0 })),
      none,
    )
  },

  'records of workers go a day after they were seen last': async (scene) => {
    await scene.store.tend({ ...worker, id: 'old', stopped: true })
    await scene.advance(hour)
    await scene.store.tend({ ...worker, id: 'young' })
    await scene.advance(23 * hour + minute)
    await scene.store.prune({ limit: 9, cap: 9 })
    assert.equal(only(await scene.store.workers()).id, 'young')
  },
})

const none = { removed: 0, more: false }
const worker = {
  id: 'worker',
  host: 'host',
  pid: 1,
  version: '1',
  queues: ['queue'],
  slots: 1,
  running: [],
  startedAt: 0,
  lastSeenAt: 0,
  stopped: false,
}

export const operatorRules: readonly Rule[] = [
  ...cancelRules,
  ...retryRules,
  ...removeRules,
  ...pruneRules,
]
