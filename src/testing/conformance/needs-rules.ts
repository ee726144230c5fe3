import assert from 'node:assert/strict'
import type { FinalState } from '../../core/job.ts'
import type { Need } from '../../store/job.ts'
import type { Rule } from './harness.ts'
import { requeue, finish, hour, minute, newJob } from './jobs.ts'
import { rulesOf } from './rule.ts'
import { only, type Scene } from './scene.ts'

const fromNeeds = { queues: [{ name: 'needs', limit: 1 }] }

/** Jobs that wait for others. */
export const needsRules: readonly Rule[] = rulesOf('needs', {
  'a job waits until its last need is met': async (scene) => {
    const needs = [await scene.enqueue({ queue: 'needs' }), await scene.enqueue({ queue: 'needs' })]
    const id = await scene.enqueue({ needs: needs.map((need) => waitFor(need)) })
    await scene.shows(id, { state: 'blocked' })
    await scene.settle(finish(await scene.claimOne(fromNeeds)))
    assert.deepEqual(await scene.claim(), [])
    await scene.shows(id, { state: 'blocked' })
    await scene.settle(finish(await scene.claimOne(fromNeeds)))
    assert.deepEqual(await scene.claimIds(), [id])
  },

  'needs that are met before the insert do not block': async (scene) => {
    const need = await scene.running({ queue: 'needs' })
    await scene.settle(finish(need))
    await scene.shows(await scene.enqueue({ needs: [waitFor(need.id)] }), { state: 'ready' })
  },

  'a need that is put back goes on blocking': async (scene) => {
    const need = await scene.running({ queue: 'needs' })
    const id = await scene.enqueue({ needs: [waitFor(need.id)] })
    await scene.settle(requeue(need))
    await scene.shows(id, { state: 'blocked' })
  },

  'a job whose needs are met before it is due is scheduled as it was inserted': async (scene) => {
    const need = await scene.running({ queue: 'needs' })
    const now = await scene.now()
    const id = await scene.enqueue({ needs: [waitFor(need.id)], delayMs: hour })
    await scene.advance(minute)
    await scene.settle(finish(need))
    await scene.shows(id, { state: 'scheduled', dueAt: now + hour })
  },

  'a job whose needs are met after it was due lines up from then on': async (scene) => {
    const need = await scene.running({ queue: 'needs' })
    const id = await scene.enqueue({ needs: [waitFor(need.id)] })
    await scene.advance(minute)
    const waiting = await scene.enqueue()
    await scene.advance(minute)
    await scene.settle(finish(need))
    const behind = await scene.advance(1).then(() => scene.enqueue())
    assert.deepEqual(await scene.claimIds(), [waiting, id, behind])
  },

  'several jobs may wait for one': async (scene) => {
    const need = await scene.running({ queue: 'needs' })
    const ids: string[] = []
    for (let n = 0; n < 50; n += 1) ids.push(await scene.enqueue({ needs: [waitFor(need.id)] }))
    await scene.settle(finish(need))
    assert.deepEqual(await scene.claimIds(), ids)
  },

  'every ending but completed fails a need: cancel and fail end the dependant, run lets it go on':
    async (scene) => {
      for (const state of ['failed', 'cancelled', 'discarded'] satisfies FinalState[]) {
        const need = await scene.running({ queue: 'needs' })
        const ended = await scene.enqueue({
          needs: [waitFor(need.id, 'cancel')],
          keepCancelledMs: minute,
        })
        const failing = await scene.enqueue({
          needs: [waitFor(need.id, 'fail')],
          keepCancelledMs: minute,
        })
        const going = await scene.enqueue({ needs: [waitFor(need.id, 'run')] })
        const now = await scene.now()
        await scene.settle(finish(need, { state }))
        const cancelled = {
          state: 'cancelled',
          reason: 'need-failed',
          finishedAt: now,
          expiresAt: now + minute,
        } as const
        await scene.shows(ended, cancelled)
        await scene.shows(failing, { ...cancelled, state: 'failed' })
        assert.deepEqual(await scene.claimIds(), [going])
      }
    },

  'a waiting need that is cancelled or removed has failed': async (scene) => {
    for (const end of ['cancel', 'remove'] as const) {
      const need = await scene.enqueue({ queue: 'needs', delayMs: hour })
      const ended = await scene.enqueue({ needs: [waitFor(need)] })
      const going = await scene.enqueue({ needs: [waitFor(need, 'run')] })
      if (end === 'cancel') await scene.store.cancel([need], null)
      else await scene.store.remove([need])
      await scene.shows(ended, { state: 'cancelled', reason: 'need-failed' })
      assert.deepEqual(await scene.claimIds(), [going])
    }
  },

  'a need that nobody knows, or that already failed, has failed': async (scene) => {
    const failed = await scene.running({ queue: 'needs' })
    await scene.settle(finish(failed, { state: 'failed' }))
    for (const need of [failed.id, newJob().id]) {
      const failing = await scene.enqueue({ needs: [waitFor(need, 'fail')] })
      await scene.shows(failing, { state: 'failed', reason: 'need-failed' })
      const ended = await scene.enqueue({ needs: [waitFor(need)] })
      await scene.shows(ended, { state: 'cancelled', reason: 'need-failed' })
      const going = await scene.enqueue({ needs: [waitFor(need, 'run')] })
      assert.deepEqual(await scene.claimIds(), [going])
    }
  },

  'a job that failed for its need can be retried, and fails what needs it in turn': async (
    scene,
  ) => {
    const need = await scene.enqueue({ queue: 'needs' })
    const middle = await scene.enqueue({ needs: [waitFor(need, 'fail')] })
    const last = await scene.enqueue({ needs: [waitFor(middle, 'fail')] })
    const other = await scene.enqueue({ needs: [waitFor(middle, 'cancel')] })
    await scene.store.cancel([need], null)
    await scene.shows(last, { state: 'failed', reason: 'need-failed' })
    await scene.shows(other, { state: 'cancelled', reason: 'need-failed' })
    assert.deepEqual(await scene.store.retry([middle]), ['retried'])
    assert.deepEqual(await scene.claimIds(), [middle])
  },

  'a failure runs down a chain of any length': async (scene) => {
    const ids = [await scene.enqueue({ queue: 'needs' })]
    for (let n = 0; n < 200; n += 1) ids.push(await scene.enqueue({ needs: [waitFor(ids[n]!)] }))
    await scene.settle(finish(await scene.claimOne(fromNeeds), { state: 'failed' }))
    for (const job of await scene.store.get(ids.slice(1))) assert.equal(job?.state, 'cancelled')
  },

  'a diamond joins when both sides are done, and runs once': async (scene) => {
    const top = newJob()
    const left = newJob({ needs: [waitFor(top.id)] })
    const right = newJob({ needs: [waitFor(top.id)] })
    const bottom = newJob({ needs: [waitFor(left.id), waitFor(right.id)] })
    await scene.store.insert([top, left, right, bottom])
    const runs: string[][] = []
    for (let level = 0; level < 4; level += 1) {
      const jobs = await scene.claim()
      runs.push(jobs.map((job) => job.id))
      await scene.store.settle(jobs.map((job) => finish(job)))
    }
    assert.deepEqual(runs, [[top.id], [left.id, right.id], [bottom.id], []])
  },

  'both sides of a diamond may be settled in one batch': async (scene) => {
    const sides = [await scene.running({ queue: 'needs' }), await scene.running({ queue: 'needs' })]
    const id = await scene.enqueue({ needs: sides.map((side) => waitFor(side.id)) })
    await scene.store.settle(sides.map((side) => finish(side)))
    assert.deepEqual(await scene.claimIds(), [id])
  },

  'a job with one failed need among others ends at once, and the others do not bring it back':
    async (scene) => {
      const [a, b] = [
        await scene.running({ queue: 'needs' }),
        await scene.running({ queue: 'needs' }),
      ]
      const id = await scene.enqueue({ needs: [waitFor(a.id), waitFor(b.id)] })
      await scene.settle(finish(a, { state: 'failed' }))
      await scene.shows(id, { state: 'cancelled' })
      await scene.settle(finish(b))
      await scene.shows(id, { state: 'cancelled' })
      assert.deepEqual(await scene.claim(), [])
    },

  'a stale or repeated settlement meets no need twice': async (scene) => {
    const dead = await scene.running({ queue: 'needs' })
    const [a, b] = [await scene.rescue(), await scene.running({ queue: 'needs' })]
    const id = await scene.enqueue({ needs: [waitFor(a.id), waitFor(b.id)] })
    await scene.settle(finish(dead))
    await scene.shows(id, { state: 'blocked' })
    await scene.settle(finish(a))
    await scene.settle(finish(a))
    await scene.shows(id, { state: 'blocked' })
  },

  'a need that is not kept after its end still meets what waits for it': async (scene) => {
    const need = await scene.running({ queue: 'needs' })
    const id = await scene.enqueue({ needs: [waitFor(need.id)] })
    await scene.settle(finish(need, { keepMs: 0 }))
    assert.deepEqual(await scene.claimIds(), [id])
  },

  'a blocked job that was cancelled or removed does not come back when its need is met': async (
    scene,
  ) => {
    const need = await scene.running({ queue: 'needs' })
    const ids = [
      await scene.enqueue({ needs: [waitFor(need.id)] }),
      await scene.enqueue({ needs: [waitFor(need.id)] }),
    ]
    await scene.store.cancel([ids[0]!], null)
    await scene.store.remove([ids[1]!])
    await scene.settle(finish(need))
    assert.deepEqual(await scene.claim(), [])
  },

  'a job cancelled for its need releases its unique key': async (scene) => {
    const unique = {
      key: 'k',
      during: ['blocked' as const, 'ready' as const],
      forMs: null,
      onConflict: 'skip' as const,
      maxWaitMs: null,
    }
    const need = await scene.running({ queue: 'needs' })
    await scene.enqueue({ unique, needs: [waitFor(need.id)] })
    assert.equal(await scene.tryInsert({ unique }), 'duplicate')
    await scene.settle(finish(need, { state: 'failed' }))
    assert.equal(await scene.tryInsert({ unique }), 'created')
  },

  'a blocked job that was leased as overdue and put back is blocked again': async (scene) => {
    const need = await scene.running({ queue: 'needs', task: 'other' })
    const id = await overdueBlocked(scene, need.id)
    await scene.shows(id, { state: 'blocked' })
    assert.deepEqual(await scene.claim(), [])
    await scene.settle(finish(need))
    assert.deepEqual(await scene.claimIds(), [id])
  },

  'a need that fails while its dependant is leased as overdue ends the dependant when that is put back':
    async (scene) => {
      const need = await scene.running({ queue: 'needs', task: 'other' })
      await scene.enqueue({ needs: [waitFor(need.id)], startWithinMs: 1_000 })
      await scene.advance(1_001)
      const overdue = only(await scene.sweep())
      await scene.settle(finish(need, { state: 'failed' }))
      await scene.shows(overdue.id, { state: 'running' })
      const back = requeue(overdue)
      assert.equal(await scene.settle(back), 'settled')
      const { id, token } = overdue
      await scene.shows(id, { state: 'cancelled', reason: 'need-failed', token, worker: 'sweeper' })
      assert.equal(await scene.changesNothing(() => scene.settle(back)), 'settled')
    },

  'a need that fails and is retried while its dependant is leased as overdue is waited for again':
    async (scene) => {
      const need = await scene.running({ queue: 'needs', task: 'other' })
      await scene.enqueue({ needs: [waitFor(need.id)], startWithinMs: 1_000 })
      await scene.advance(1_001)
      const overdue = only(await scene.sweep())
      await scene.settle(finish(need, { state: 'failed' }))
      assert.deepEqual(await scene.store.retry([need.id]), ['retried'])
      await scene.settle(requeue(overdue, { started: true }))
      await scene.shows(overdue.id, { state: 'blocked' })
      await scene.settle(finish(await scene.claimOne(fromNeeds)))
      assert.deepEqual(await scene.claimIds(), [overdue.id])
    },
})

async function overdueBlocked(scene: Scene, need: string): Promise<string> {
  const id = await scene.enqueue({ needs: [waitFor(need)], startWithinMs: 1_000 })
  await scene.advance(1_001)
  const overdue = only(await scene.sweep())
  assert.equal(await scene.settle(requeue(overdue, { started: true })), 'settled')
  return id
}

function waitFor(id: string, onFailed: Need['onFailed'] = 'cancel'): Need {
  return { kind: 'job', id, onFailed }
}
