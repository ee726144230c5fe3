/** What a store refuses to keep, since it could not be read back, and that it keeps everything up to there. */
import assert from 'node:assert/strict'
import { longestMs } from '../../core/duration.ts'
import type { ClaimedJob, NewJob } from '../../store/job.ts'
import type { Settlement } from '../../store/worker-calls.ts'
import type { Store } from '../../store/store.ts'
import type { Rule } from './harness.ts'
import {
  requeue,
  claimOf,
  counted,
  rescueOf,
  finish,
  leaseMs,
  newJob,
  unique,
  workerOf,
} from './jobs.ts'
import { rulesOf } from './rule.ts'
import { only, type Scene } from './scene.ts'

/** What is no time to wait for. */
const noSpans = [-1, 0.5, NaN, Infinity, -Infinity, longestMs + 1, 2 ** 53, 1e300]
const noPriorities = [-1_001, 1_001, 0.5, NaN, Infinity, 2 ** 53]
const noCounts = [-1, 0.5, NaN, Infinity, 2 ** 53]

export const boundsRules: readonly Rule[] = [
  ...Object.entries<(ms: number) => Partial<NewJob>>({
    delayMs: (delayMs) => ({ delayMs }),
    startWithinMs: (startWithinMs) => ({ startWithinMs }),
    deadlineMs: (deadlineMs) => ({ deadlineMs }),
    keepCancelledMs: (keepCancelledMs) => ({ keepCancelledMs }),
    'the forMs of its unique key': (forMs) => ({ unique: unique('key', { forMs }) }),
    'the maxWaitMs of its unique key': (maxWaitMs) => ({ unique: unique('key', { maxWaitMs }) }),
    'the leaseMs of its lease': (ms) => ({
      entry: { kind: 'running', worker: 'worker', leaseMs: ms },
    }),
  }).flatMap(([field, jobOf]) =>
    rulesOf('bounds', {
      [`an insert is refused as a whole for a job of which ${field} is no time up to 100 years`]: (
        scene,
      ) => refusesJobs(scene, noSpans.map(jobOf)),
    }),
  ),
  ...rulesOf('bounds', {
    'an insert is refused as a whole for a job that is to run more than 100 years from now, or at no time':
      async (scene) => {
        const now = await scene.now()
        // By the clock of the server or of the client, which may be years apart in a test.
        const far = 2 * longestMs
        const times = [now + far, now - far, 2 ** 53, 8.64e15, NaN, Infinity, 1e300, now + 0.5]
        await refusesJobs(
          scene,
          times.map((runAt) => ({ runAt })),
        )
      },

    'an insert is refused as a whole for a job whose priority is none': (scene) =>
      refusesJobs(
        scene,
        noPriorities.map((priority) => ({ priority })),
      ),

    'the longest times are kept, and stop neither other jobs nor those who read': async (scene) => {
      const longest = newJob({
        delayMs: longestMs,
        startWithinMs: longestMs,
        deadlineMs: longestMs,
        keepCancelledMs: longestMs,
        unique: unique('key', { forMs: longestMs, maxWaitMs: longestMs }),
      })
      const now = await scene.now()
      await scene.store.insert([longest])
      await scene.shows(longest.id, {
        state: 'scheduled',
        dueAt: now + longestMs,
        startBy: now + 2 * longestMs,
        deadlineAt: now + longestMs,
      })
      const tended = await scene.store.tend(workerOf())
      scene.near(tended.nextDueMs, longestMs, 'the time until the next job is due')
      const other = await scene.enqueue()
      const claimed = await scene.store.claim(claimOf())
      assert.equal(only(claimed.jobs).id, other)
      assert.equal(await scene.settle(finish(only(claimed.jobs), { keepMs: longestMs })), 'settled')
      await scene.shows(other, { expiresAt: claimed.now + longestMs })
      assert.deepEqual(await scene.store.cancel([longest.id], null), ['cancelled'])
      await scene.shows(longest.id, { expiresAt: claimed.now + longestMs })
      assert.equal((await scene.store.list({ limit: 10 })).jobs.length, 2)
      assert.deepEqual(await scene.store.retry([longest.id]), ['retried'])
      assert.equal((await scene.store.prune({ limit: 10, cap: 10 })).removed, 0)
    },

    'a postponement by the longest time is kept': async (scene) => {
      const job = await scene.running()
      const now = await scene.now()
      assert.equal(
        await scene.settle(requeue(job, { delayMs: longestMs, place: 'due' })),
        'settled',
      )
      await scene.shows(job.id, { state: 'scheduled', dueAt: now + longestMs })
      assert.deepEqual(await scene.claimIds(), [])
    },

    'a job that ran for 100 years is finished, alone and beside others': async (scene) => {
      await scene.store.insert(Array.from({ length: 20 }, () => newJob()))
      const jobs = await scene.claim()
      const now = await scene.now()
      const ends = jobs.map((job) => finish(job, { startedAgoMs: longestMs }))
      assert.deepEqual(await scene.store.settle(ends.slice(0, 1)), ['settled'])
      assert.deepEqual(new Set(await scene.store.settle(ends.slice(1))), new Set(['settled']))
      for (const { id } of jobs.slice(0, 2))
        await scene.shows(id, { state: 'completed', startedAt: now - longestMs })
    },

    'settlements are refused as a whole for one that puts its job back by no time up to 100 years':
      (scene) =>
        refusesSettlements(scene, (job) => noSpans.map((ms) => requeue(job, { delayMs: ms }))),

    'settlements are refused as a whole for one that keeps its job for no time up to 100 years': (
      scene,
    ) => refusesSettlements(scene, (job) => noSpans.map((ms) => finish(job, { keepMs: ms }))),

    'settlements are refused as a whole for one whose run began at no time': (scene) =>
      refusesSettlements(scene, (job) => noSpans.map((ms) => finish(job, { startedAgoMs: ms }))),

    'settlements are refused as a whole for one whose counters do not count': (scene) =>
      refusesSettlements(scene, (job) =>
        noCounts.flatMap((failures) => [
          finish(job, { counters: counted({ failures }) }),
          requeue(job, { counters: counted({ failures }) }),
        ]),
      ),

    'settlements are refused as a whole for one whose follow-up could not be inserted': (scene) =>
      refusesSettlements(scene, (job) =>
        noSpans.map((delayMs) => finish(job, { followUps: [newJob(), newJob({ delayMs })] })),
      ),

    'a lease, a note and a lock are refused whose times are beyond 100 years or none': async (
      scene,
    ) => {
      const { store } = scene
      const job = await scene.running()
      const hold = { name: 'lock', holder: job.id, token: null, host: 'host', pid: 1 }
      for (const ms of noSpans) {
        await isRefused(store.claim(claimOf({ leaseMs: ms })))
        await isRefused(store.rescue(rescueOf({ leaseMs: ms })))
        await isRefused(store.renew([job], ms))
        await isRefused(store.hold({ ...hold, ttlMs: ms }))
      }
      for (const agoMs of [NaN, Infinity, longestMs + 1, 2 ** 53, 1e300]) {
        const { id, token } = job
        await isRefused(store.note([{ kind: 'start', id, token, agoMs }]))
        await isRefused(store.note([{ kind: 'log', id, token, agoMs, level: 'info', text: '' }]))
      }
      assert.deepEqual(await store.renew([job], leaseMs), ['renewed'])
      assert.equal((await scene.job(job.id)).startedAt, null)
      assert.equal((await store.hold({ ...hold, ttlMs: leaseMs })).status, 'held')
    },
  }),
]

async function isRefused(call: Promise<unknown>): Promise<void> {
  await assert.rejects(call, { code: 'invalid-option' })
}

/** Each of the jobs is refused, and with it those beside it; then an ordinary one is not. */
async function refusesJobs(scene: Scene, jobs: readonly Partial<NewJob>[]): Promise<void> {
  for (const job of jobs) await isRefused(scene.store.insert([newJob(), newJob(job), newJob()]))
  assert.deepEqual((await scene.store.list({ limit: 10 })).jobs, [])
  const id = await scene.enqueue()
  assert.deepEqual(await scene.claimIds(), [id])
}

/** Each of the settlements is refused, and with it the one beside it; then both jobs can still be settled. */
async function refusesSettlements(
  scene: Scene,
  settlements: (job: ClaimedJob) => readonly Settlement[],
): Promise<void> {
  await scene.store.insert([newJob(), newJob()])
  const [first, second] = await scene.claim()
  assert.ok(first !== undefined && second !== undefined)
  await scene.changesNothing(() => refuseEach(scene.store, first, settlements(second)))
  const ends = [first, second].map((job) => finish(job))
  assert.deepEqual(await scene.store.settle(ends), ['settled', 'settled'])
}

async function refuseEach(
  store: Store,
  beside: ClaimedJob,
  settlements: readonly Settlement[],
): Promise<void> {
  for (const settlement of settlements) await isRefused(store.settle([finish(beside), settlement]))
}
