import assert from 'node:assert/strict'
import { noCounters } from '../../core/job.ts'
import type { Rule } from './harness.ts'
import { finish, hour, minute, newJob, workerOf } from './jobs.ts'
import { rulesOf } from './rule.ts'
import { only } from './scene.ts'
import { situationNames, situations } from './situations.ts'

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
    assert.deepEqual(await scene.sweep(), [])
    const tended = await scene.store.tend(workerOf())
    assert.deepEqual(
      [tended.ready, tended.nextDueMs, tended.sweepDue, tended.pruneDue],
      [false, null, false, false],
    )
  },

  'a removed id may be inserted again as a new job': async (scene) => {
    const job = newJob({ input: '1' })
    await scene.store.insert([job])
    await scene.settle(finish(await scene.claimOne(), { attempt: '"e"' }))
    await scene.store.remove([job.id])
    await scene.store.insert([{ ...job, input: '2' }])
    await scene.shows(job.id, {
      state: 'ready',
      input: '2',
      token: 0,
      attempts: [],
      counters: noCounters,
    })
  },

  'a running job is not removed': async (scene) => {
    const job = await scene.running()
    assert.deepEqual(await scene.changesNothing(() => scene.store.remove([job.id])), ['running'])
    assert.equal(await scene.settle(finish(job)), 'settled')
  },

  'jobs in every state are removed by one call as each alone, and one named twice is missing then':
    async (scene) => {
      const named = [
        'blocked',
        'scheduled',
        'completed',
        'failed',
        'suspect',
        'ready',
        'running',
      ] as const
      const ids: string[] = []
      for (const name of named) ids.push((await situations[name].reach(scene, { queue: name })).id)
      const waiting = named.map((name) => name !== 'running')
      assert.deepEqual(await scene.store.remove([...ids, ...ids]), [
        ...waiting.map((isRemoved) => (isRemoved ? 'removed' : 'running')),
        ...waiting.map((isRemoved) => (isRemoved ? 'missing' : 'running')),
      ])
      const left = await scene.store.get(ids)
      assert.deepEqual(
        left.map((job) => job === null),
        waiting,
      )
    },

  'jobs removed from the middle of a line leave the others in their order': async (scene) => {
    const jobs = Array.from({ length: 30 }, (_, at) => newJob({ priority: at < 20 ? 0 : 1 }))
    await scene.store.insert(jobs)
    const ids = jobs.map(({ id }) => id)
    const isGone = (at: number): boolean => at % 7 === 0 || (at > 10 && at < 24)
    const gone = ids.filter((_, at) => isGone(at))
    assert.deepEqual(
      await scene.store.remove(gone),
      gone.map(() => 'removed'),
    )
    assert.deepEqual(
      await scene.claimIds(),
      ids.filter((_, at) => !isGone(at)),
    )
    assert.deepEqual(await scene.store.counts(), [{ queue: 'queue', state: 'running', count: 14 }])
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
    assert.equal((await scene.store.tend(workerOf())).pruneDue, false)
    await scene.advance(scene.slackMs + 1)
    assert.equal((await scene.store.tend(workerOf())).pruneDue, true)
    assert.deepEqual(await scene.store.prune({ limit: 9, cap: 9 }), { removed: 1, more: false })
    assert.equal(await scene.isKnown(job.id), false)
    assert.equal((await scene.store.tend(workerOf())).pruneDue, false)
  },

  'a job that is kept for ever is never pruned by time': async (scene) => {
    const job = await scene.running()
    await scene.settle(finish(job, { keepMs: null }))
    await scene.advance(100_000 * hour)
    assert.equal((await scene.store.tend(workerOf())).pruneDue, false)
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

  'what was kept long enough is found among jobs of a thousand other lengths': async (scene) => {
    const lengths = [...Array.from({ length: 1_001 }, (_, n) => 10 * hour + n), 9 * minute, null]
    await scene.store.insert(lengths.map(() => newJob()))
    const jobs = [...(await scene.claim()), ...(await scene.claim())]
    const ids = jobs.map(({ id }) => id)
    await scene.store.settle(jobs.map((job, n) => finish(job, { keepMs: lengths[n] ?? null })))
    await scene.advance(10 * minute)
    assert.equal((await scene.store.tend(workerOf())).pruneDue, true)
    assert.deepEqual(await scene.store.prune({ limit: 9, cap: 9_999 }), { removed: 1, more: false })
    assert.deepEqual(await scene.store.get([ids[1_001] as string]), [null])
    assert.equal((await scene.store.tend(workerOf())).pruneDue, false)
    await scene.advance(10 * hour)
    assert.equal((await scene.store.prune({ limit: 1_000, cap: 9_999 })).removed, 1_000)
    assert.equal((await scene.store.prune({ limit: 1_000, cap: 9_999 })).removed, 1)
    await scene.shows(ids.at(-1) as string, { expiresAt: null })
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
    await scene.store.tend(workerOf({ id: 'old', stopped: true }))
    await scene.advance(hour)
    await scene.store.tend(workerOf({ id: 'young' }))
    await scene.advance(23 * hour + minute)
    await scene.store.prune({ limit: 9, cap: 9 })
    assert.equal(only(await scene.store.workers()).id, 'young')
  },
})

const none = { removed: 0, more: false }

/** How jobs leave the store: removed, taken, or pruned when their time is over. */
export const removalRules: readonly Rule[] = [...removeRules, ...pruneRules]
