/** A stored job that cannot be read, since something wrote over it, stops no other: its holder is told, and everything else goes on. */
import assert from 'node:assert/strict'
import type { ClaimedJob, StoredJob } from '../../store/job.ts'
import type { Rule, Spoiled } from './harness.ts'
import {
  requeue,
  claimOf,
  counted,
  rescueOf,
  finish,
  hour,
  newJob,
  unique,
  workerOf,
} from './jobs.ts'
import { rulesOf } from './rule.ts'
import { only } from './scene.ts'

const spoiled: readonly Spoiled[] = ['created', 'counters']
const changed: readonly Spoiled[] = [...spoiled, 'spans']

export const unreadableRules: readonly Rule[] = [
  ...spoiled.flatMap((what) =>
    rulesOf('unreadable', {
      [`a claim hands out a job whose ${what} cannot be read as unreadable, with its texts, beside the others`]:
        async (scene) => {
          const jobs = [newJob(), newJob({ input: '{"kept":1}', options: '{}' }), newJob()]
          await scene.store.insert(jobs)
          if (!(await scene.spoil(jobs[1]!.id, what))) return
          const claimed = await scene.claim()
          assert.deepEqual(
            new Map(claimed.map(({ id, why, input }) => [id, [why, input]])),
            new Map(
              jobs.map(({ id, input }, n) => [id, [n === 1 ? 'unreadable' : 'ready', input]]),
            ),
          )
          claimed.forEach(canBeUsed)
        },

      [`a job whose ${what} cannot be read is failed like any other, and its texts stay`]: async (
        scene,
      ) => {
        const id = await scene.enqueue({ input: '{"kept":1}' })
        if (!(await scene.spoil(id, what))) return
        const job = only(await scene.claim())
        const end = finish(job, { state: 'failed', reason: 'unreadable', counters: counted() })
        assert.equal(await scene.settle(end), 'settled')
        assert.equal(await scene.settle(end), 'settled')
        await scene.shows(id, { state: 'failed', reason: 'unreadable', input: '{"kept":1}' })
        canBeRead(await scene.job(id))
      },

      [`a job whose ${what} cannot be read is rescued as unreadable when its worker is gone`]:
        async (scene) => {
          const job = await scene.running()
          const other = await scene.running()
          if (!(await scene.spoil(job.id, what))) return
          await scene.advance(hour)
          const rescued = await scene.sweep()
          assert.deepEqual(
            new Map(rescued.map(({ id, why }) => [id, why])),
            new Map([
              [job.id, 'unreadable'],
              [other.id, 'lost'],
            ]),
          )
          rescued.forEach(canBeUsed)
        },

      [`a suspect whose ${what} cannot be read is handed out as unreadable, and the jobs behind it go on`]:
        async (scene) => {
          const job = await scene.running()
          await scene.makeSuspect(job)
          const other = await scene.enqueue()
          if (!(await scene.spoil(job.id, what))) return
          // Order holds within a partition only.
          const both = [await scene.claimOne(), await scene.claimOne()]
          assert.deepEqual(
            new Map(both.map(({ id, why }) => [id, why])),
            new Map([
              [job.id, 'unreadable'],
              [other, 'ready'],
            ]),
          )
        },

      [`a job that waits too long and whose ${what} cannot be read is handed to a sweeper as unreadable`]:
        async (scene) => {
          const id = await scene.enqueue({ deadlineMs: 1_000, unique: unique('key') })
          if (!(await scene.spoil(id, what))) return
          await scene.advance(2_000)
          const overdue = only(await scene.sweep())
          assert.deepEqual([overdue.id, overdue.why], [id, 'unreadable'])
          const end = finish(overdue, {
            state: 'failed',
            reason: 'unreadable',
            counters: counted(),
          })
          assert.equal(await scene.settle(end), 'settled')
          assert.equal(await scene.tryInsert({ unique: unique('key') }), 'created')
        },

      [`readers show a job whose ${what} cannot be read, and the others beside it`]: async (
        scene,
      ) => {
        const ids = [await scene.enqueue(), await scene.enqueue(), await scene.enqueue()]
        if (!(await scene.spoil(ids[1]!, what))) return
        const page = await scene.store.list({ limit: 10 })
        assert.deepEqual(page.jobs.map(({ id }) => id).toSorted(), ids.toSorted())
        const found = await scene.store.get(ids)
        for (const job of [...page.jobs, ...found]) canBeRead(job!)
        assert.deepEqual(await scene.store.counts(), [{ queue: 'queue', state: 'ready', count: 3 }])
        for (const id of ids) assert.deepEqual(await scene.store.logs(id), [])
      },
    }),
  ),
  ...changed.flatMap((what) =>
    rulesOf('unreadable', {
      [`operators cancel, retry, take and remove a job whose ${what} cannot be read`]: async (
        scene,
      ) => {
        const ids = [
          await scene.enqueue({ startWithinMs: hour }),
          await scene.enqueue({ delayMs: hour, deadlineMs: hour }),
          await scene.enqueue(),
        ]
        for (const id of ids) if (!(await scene.spoil(id, what))) return
        const { store } = scene
        assert.deepEqual(await store.cancel(ids, 'enough'), ['cancelled', 'cancelled', 'cancelled'])
        assert.deepEqual(await store.retry(ids.slice(0, 2)), ['retried', 'retried'])
        assert.equal((await store.take(ids.slice(2)))[0]?.state, 'cancelled')
        assert.deepEqual(await store.remove(ids), ['removed', 'removed', 'missing'])
        assert.deepEqual(await store.counts(), [])
      },
    }),
  ),
  ...rulesOf('unreadable', {
    'a job that is due at a time that cannot be read stops neither claims nor the heartbeat, and is handed to a sweeper':
      async (scene) => {
        const id = await scene.enqueue({ delayMs: hour })
        if (!(await scene.spoil(id, 'due'))) return
        const worker = workerOf()
        const tended = await scene.store.tend(worker)
        assert.ok(tended.sweepDue, 'a sweeper is called for')
        canWaitFor(tended.nextDueMs)
        const other = await scene.enqueue()
        const later = await scene.enqueue({ delayMs: hour })
        const claimed = await scene.store.claim(claimOf())
        assert.deepEqual(
          claimed.jobs.map((job) => job.id),
          [other],
        )
        canWaitFor(claimed.nextDueMs)
        assert.deepEqual(await scene.sweep({ tasks: ['another'] }), [])
        const swept = only(await scene.sweep())
        assert.deepEqual([swept.id, swept.why], [id, 'unreadable'])
        canBeUsed(swept)
        const end = finish(swept, { state: 'failed', reason: 'unreadable', counters: counted() })
        assert.equal(await scene.settle(end), 'settled')
        canBeRead(await scene.job(id))
        assert.equal((await scene.store.tend(worker)).sweepDue, false)
        assert.deepEqual(await scene.sweep(), [])
        await scene.shows(later, { state: 'scheduled' })
        assert.deepEqual(
          (await scene.store.counts()).map(({ state, count }) => `${state} ${count}`).toSorted(),
          ['failed 1', 'running 1', 'scheduled 1'],
        )
      },

    'a job that is due at a time that cannot be read is shown, cancelled, replaced and removed':
      async (scene) => {
        const key = unique('key', { onConflict: 'replace' })
        const ids = [
          await scene.enqueue({ delayMs: hour }),
          await scene.enqueue({ delayMs: hour }),
          await scene.enqueue({ delayMs: hour, unique: key }),
        ]
        for (const id of ids) if (!(await scene.spoil(id, 'due'))) return
        const { store } = scene
        for (const job of (await store.list({ limit: 10 })).jobs) {
          assert.equal(job.state, 'scheduled')
          canBeRead(job)
        }
        assert.deepEqual(await store.cancel(ids.slice(0, 1), null), ['cancelled'])
        assert.deepEqual(await store.remove(ids.slice(1, 2)), ['removed'])
        assert.equal(await scene.tryInsert({ unique: key }), 'replaced')
        const job = only(await scene.claim())
        assert.deepEqual([job.id, job.why], [ids[2], 'ready'])
        assert.deepEqual(await scene.sweep(), [])
      },

    'a job that cannot be read is given back, and handed out again': async (scene) => {
      const id = await scene.enqueue()
      if (!(await scene.spoil(id, 'created'))) return
      const job = await scene.claimOne()
      assert.equal(await scene.settle(requeue(job)), 'settled')
      const next = await scene.claimOne()
      assert.deepEqual([next.id, next.why], [id, 'unreadable'])
    },

    'a need that cannot be read ends, and lets go of the jobs that wait for it': async (scene) => {
      const id = await scene.enqueue()
      const waiting = await scene.enqueue({ needs: [{ kind: 'job', id, onFailed: 'run' }] })
      if (!(await scene.spoil(id, 'created')) || !(await scene.spoil(waiting, 'counters'))) return
      const job = only(await scene.claim())
      const end = finish(job, { state: 'failed', reason: 'unreadable', counters: counted() })
      assert.equal(await scene.settle(end), 'settled')
      const next = only(await scene.store.claim(claimOf()).then(({ jobs }) => jobs))
      assert.deepEqual([next.id, next.why], [waiting, 'unreadable'])
      assert.deepEqual((await scene.store.rescue(rescueOf())).jobs, [])
    },
  }),
]

/** All that a worker reads of a job is of its kind. */
function canBeUsed(job: ClaimedJob): void {
  const { createdAt, dueAt, startBy, deadlineAt, startedAt, counters, priority } = job
  for (const time of [createdAt, dueAt, startBy, deadlineAt, startedAt]) isTime(time)
  for (const count of [...Object.values(counters), priority]) assert.ok(Number.isSafeInteger(count))
}

/** All that a reader shows of a job is of its kind. */
function canBeRead(job: StoredJob): void {
  const { createdAt, dueAt, startBy, deadlineAt, startedAt, finishedAt, expiresAt, leaseUntil } =
    job
  for (const time of [createdAt, dueAt, startBy, deadlineAt, startedAt, finishedAt]) isTime(time)
  for (const time of [expiresAt, leaseUntil]) isTime(time)
  for (const count of Object.values(job.counters)) assert.ok(Number.isSafeInteger(count))
}

function isTime(time: number | null): void {
  if (time !== null) assert.ok(!Number.isNaN(new Date(time).getTime()), `${time} is a time`)
}

function canWaitFor(ms: number | null): void {
  if (ms !== null) assert.ok(Number.isSafeInteger(ms) && ms >= 0, `${ms} can be waited for`)
}
