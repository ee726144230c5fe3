import assert from 'node:assert/strict'
import { keptAttempts } from '../../core/job.ts'
import type { NewJob } from '../../store/job.ts'
import type { Rule } from './harness.ts'
import { requeue, counted, finish, hour, leaseMs, minute, newJob, unique } from './jobs.ts'
import { rulesOf } from './rule.ts'
import { only } from './scene.ts'
import { everySettlement } from './lease-verbs.ts'

/** Settlements: accepted once, by the token, in one step. */
export const settleRules: readonly Rule[] = rulesOf('settle', {
  'a stale lease settles nothing, even after the job was postponed and claimed again': async (
    scene,
  ) => {
    const dead = await scene.running()
    const swept = await scene.rescue()
    await scene.settle(requeue(swept, { delayMs: minute, counters: counted({ postpones: 1 }) }))
    await scene.advance(minute + 1)
    const alive = await scene.claimOne()
    for (const settlement of everySettlement(dead)) {
      assert.equal(await scene.changesNothing(() => scene.settle(settlement)), 'stale')
    }
    assert.equal(await scene.settle(finish(alive, { output: '1' })), 'settled')
    for (const settlement of everySettlement(dead)) {
      assert.equal(await scene.changesNothing(() => scene.settle(settlement)), 'stale')
    }
  },

  'a worker that comes back after its job was rescued is refused, and the rescuer settles': async (
    scene,
  ) => {
    const zombie = await scene.running()
    const swept = await scene.rescue()
    assert.equal(await scene.changesNothing(() => scene.settle(finish(zombie))), 'stale')
    assert.equal(await scene.settle(finish(swept, { output: '2' })), 'settled')
    await scene.shows(zombie.id, { output: '2' })
  },

  'a settlement tells when the run began, unless its start was noted': async (scene) => {
    const quick = await scene.running()
    const before = await scene.now()
    await scene.settle(finish(quick, { startedAgoMs: 40 }))
    scene.near((await scene.job(quick.id)).startedAt, before - 40)
    const noted = await scene.running()
    const now = await scene.now()
    await scene.store.note([{ id: noted.id, token: noted.token, kind: 'start', agoMs: 7 }])
    await scene.settle(finish(noted, { startedAgoMs: 40 }))
    scene.near((await scene.job(noted.id)).startedAt, now - 7)
  },

  'an expired lease that nobody took is still settled': async (scene) => {
    const job = await scene.running()
    await scene.advance(100 * leaseMs)
    assert.equal(await scene.settle(finish(job)), 'settled')
  },

  'an accepted settlement whose answer was lost is repeated as settled, and nothing happens twice':
    async (scene) => {
      const other = await scene.another()
      for (const settlement of [finish, requeue]) {
        const job = await scene.running()
        const sent = settlement(job, {
          counters: counted({ attempts: 1 }),
          attempt: '"once"',
          followUps: [newJob({ queue: 'follow-ups' })],
        })
        assert.equal(await scene.settle(sent), 'settled')
        assert.equal(only(await scene.changesNothing(() => other.settle([sent]))), 'settled')
        await scene.store.remove([job.id])
      }
    },

  'a repeated settlement is recognised while the next run is under way, and does not disturb it':
    async (scene) => {
      const first = await scene.running()
      await scene.settle(requeue(first))
      const second = await scene.claimOne()
      assert.equal(await scene.changesNothing(() => scene.settle(requeue(first))), 'settled')
      assert.equal(await scene.settle(finish(second)), 'settled')
      assert.equal(await scene.changesNothing(() => scene.settle(requeue(first))), 'stale')
    },

  'the repeat of a settlement and the settlement of the next run may come in one batch': async (
    scene,
  ) => {
    const first = await scene.running()
    await scene.settle(requeue(first))
    const second = await scene.claimOne()
    const batch = [finish(first, { output: '1' }), finish(second, { output: '2' })]
    assert.deepEqual(await scene.store.settle(batch), ['settled', 'settled'])
    await scene.shows(first.id, { state: 'completed', output: '2' })
  },

  'the same settlement twice in one batch is accepted once': async (scene) => {
    const job = await scene.running()
    const sent = finish(job, { attempt: '"once"', state: 'failed' })
    assert.deepEqual(await scene.store.settle([sent, sent]), ['settled', 'settled'])
    await scene.shows(job.id, { attempts: ['"once"'] })
  },

  'of two settlements of one lease the first is accepted': async (scene) => {
    const job = await scene.running()
    await scene.store.settle([finish(job, { output: '1' }), finish(job, { state: 'failed' })])
    await scene.shows(job.id, { state: 'completed', output: '1' })
    const other = await scene.running()
    await scene.store.settle([requeue(other, { delayMs: minute }), finish(other)])
    await scene.shows(other.id, { state: 'scheduled' })
  },

  'a follow-up may need a job that the same call ends after it': async (scene) => {
    const [first, second] = [await scene.running(), await scene.running()]
    const next = newJob({ needs: [{ kind: 'job', id: second.id, onFailed: 'cancel' }] })
    await scene.store.settle([finish(first, { followUps: [next] }), finish(second, { keepMs: 0 })])
    await scene.shows(next.id, { state: 'ready' })
  },

  'any part of a claim is settled in any order': async (scene) => {
    await scene.store.insert(Array.from({ length: 9 }, () => newJob()))
    const jobs = [...(await scene.claim())]
    const [a, b, c, ...rest] = jobs.reverse()
    assert.deepEqual(await scene.store.settle([finish(b!), finish(a!)]), ['settled', 'settled'])
    assert.deepEqual(await scene.store.settle([finish(c!)]), ['settled'])
    assert.deepEqual(
      (await scene.store.get(rest.map((job) => job.id))).map((job) => job?.state),
      rest.map(() => 'running'),
    )
  },

  'a batch of 1,000 settlements answers in its own order, each for itself': async (scene) => {
    await scene.store.insert(Array.from({ length: 1_000 }, () => newJob()))
    const jobs = [...(await scene.claim())].reverse()
    const wrong = (index: number): boolean => index % 7 === 0
    const answers = await scene.store.settle(
      jobs.map((job, index) => finish({ id: job.id, token: job.token + (wrong(index) ? 1 : 0) })),
    )
    assert.deepEqual(
      answers,
      jobs.map((_, index) => (wrong(index) ? 'stale' : 'settled')),
    )
  },

  'a call that fails for one element has written nothing of the batch': async (scene) => {
    const jobs = [await scene.running(), await scene.running()]
    const broken: NewJob = Object.defineProperty({ ...newJob() }, 'input', {
      enumerable: true,
      get(): string {
        throw new Error('cannot be read')
      },
    })
    await scene.changesNothing(() =>
      assert.rejects(
        scene.store.settle([
          finish(jobs[0]!, { followUps: [newJob({ queue: 'follow-ups' })] }),
          finish(jobs[1]!, { followUps: [newJob({ queue: 'follow-ups' }), broken] }),
        ]),
      ),
    )
    assert.deepEqual(await scene.store.settle(jobs.map((job) => finish(job))), [
      'settled',
      'settled',
    ])
  },

  'the last attempts are kept, oldest first, over retries of every kind': async (scene) => {
    let job = await scene.running()
    for (let n = 1; n <= keptAttempts + 2; n += 1) {
      await scene.settle(requeue(job, { attempt: `"${n}"` }))
      job = await scene.claimOne()
    }
    await scene.settle(finish(job, { state: 'failed', attempt: '"last"' }))
    const { attempts } = await scene.job(job.id)
    assert.equal(attempts.length, keptAttempts)
    assert.deepEqual(
      [attempts[0], attempts.at(-2), attempts.at(-1)],
      ['"4"', `"${keptAttempts + 2}"`, '"last"'],
    )
  },

  'a start that was written stays with the finished job': async (scene) => {
    const job = await scene.running()
    const now = await scene.now()
    await scene.store.note([{ ...leaseOf(job), kind: 'start', agoMs: 5 }])
    await scene.settle(finish(job))
    await scene.shows(job.id, { startedAt: now - 5 })
  },

  'progress survives the end and every way back': async (scene) => {
    const job = await scene.running()
    await scene.store.note([{ ...leaseOf(job), kind: 'progress', value: '{"at":1}' }])
    await scene.settle(requeue(job))
    await scene.shows(job.id, { progress: '{"at":1}' })
    await scene.settle(finish(await scene.claimOne()))
    await scene.shows(job.id, { progress: '{"at":1}' })
  },

  'a settlement that yields to a cancel is not written, and one that does not is': async (
    scene,
  ) => {
    const job = await scene.running()
    await scene.store.cancel([job.id], null)
    for (const settlement of everySettlement(job)) {
      const yielding = { ...settlement, yieldsToCancel: true }
      assert.equal(await scene.changesNothing(() => scene.settle(yielding)), 'cancel-asked')
    }
    assert.equal(await scene.settle(finish(job, { yieldsToCancel: false, output: '1' })), 'settled')
    await scene.shows(job.id, { state: 'completed', output: '1', reason: null })
  },

  'a settlement that would yield to a cancel is written when none was asked for': async (scene) => {
    const job = await scene.running()
    assert.equal(await scene.settle(requeue(job, { yieldsToCancel: true })), 'settled')
  },

  'the reason of a cancel is shown once the job is cancelled, unless the settlement gives one':
    async (scene) => {
      for (const reason of [null, 'own']) {
        const job = await scene.running()
        await scene.store.cancel([job.id], 'asked')
        await scene.settle(finish(job, { state: 'cancelled', reason }))
        await scene.shows(job.id, { state: 'cancelled', reason: reason ?? 'asked' })
      }
    },

  'follow-ups are inserted with an accepted settlement, by the rules of any insert': async (
    scene,
  ) => {
    for (const settlement of [finish, requeue]) {
      const job = await scene.running({ queue: 'parents' })
      const now = await scene.now()
      const ready = newJob({ parent: job.id, queue: 'follow-ups', input: '"x"' })
      const later = newJob({ parent: job.id, queue: 'follow-ups', delayMs: minute })
      await scene.settle(settlement(job, { followUps: [ready, later] }))
      await scene.shows(ready.id, {
        state: 'ready',
        parent: job.id,
        input: '"x"',
        createdAt: now,
        dueAt: now,
      })
      await scene.shows(later.id, { state: 'scheduled', dueAt: now + minute })
      await scene.store.remove([job.id])
    }
  },

  'a follow-up that is already known is not inserted again': async (scene) => {
    const followUp = newJob({ queue: 'follow-ups', input: '"first"' })
    await scene.store.insert([followUp])
    const job = await scene.running()
    assert.equal(
      await scene.settle(finish(job, { followUps: [{ ...followUp, input: '"second"' }] })),
      'settled',
    )
    await scene.shows(followUp.id, { input: '"first"' })
  },

  'a follow-up whose unique key is held is left out, and the settlement is accepted': async (
    scene,
  ) => {
    await scene.enqueue({ queue: 'other', unique: unique('k') })
    const job = await scene.running()
    const refused = newJob({ unique: unique('k') })
    const accepted = newJob()
    assert.equal(await scene.settle(finish(job, { followUps: [refused, accepted] })), 'settled')
    assert.deepEqual(
      [await scene.isKnown(refused.id), await scene.isKnown(accepted.id)],
      [false, true],
    )
  },

  'a follow-up may take the unique key that its parent releases': async (scene) => {
    const rule = unique('k', { during: ['scheduled', 'ready', 'running'] })
    const job = await scene.running({ unique: rule })
    const next = newJob({ unique: rule })
    await scene.settle(finish(job, { followUps: [next] }))
    await scene.shows(next.id, { state: 'ready' })
    assert.equal(await scene.tryInsert({ unique: rule }), 'duplicate')
  },

  'follow-ups are inserted even when the parent itself is not kept': async (scene) => {
    const job = await scene.running()
    const next = newJob({
      parent: job.id,
      needs: [{ kind: 'job', id: job.id, onFailed: 'cancel' }],
    })
    await scene.settle(finish(job, { keepMs: 0, followUps: [next] }))
    assert.equal(await scene.isKnown(job.id), false)
    await scene.shows(next.id, { state: 'ready' })
  },

  'a job that is kept for no time is gone at once, with its log, and its settlement cannot be repeated':
    async (scene) => {
      const job = await scene.running()
      await scene.store.note([{ ...leaseOf(job), kind: 'log', agoMs: 0, level: 'info', text: 'x' }])
      await scene.settle(finish(job, { keepMs: 0 }))
      assert.equal(await scene.isKnown(job.id), false)
      assert.deepEqual(await scene.store.logs(job.id), [])
      assert.deepEqual(await scene.store.counts(), [])
      assert.equal(await scene.settle(finish(job, { keepMs: 0 })), 'stale')
    },

  'each ending keeps its own time': async (scene) => {
    for (const keepMs of [1, hour, null]) {
      const job = await scene.running()
      const now = await scene.now()
      await scene.settle(finish(job, { keepMs }))
      await scene.shows(job.id, {
        finishedAt: now,
        expiresAt: keepMs === null ? null : now + keepMs,
      })
    }
  },
})

function leaseOf(job: { readonly id: string; readonly token: number }): {
  id: string
  token: number
} {
  return { id: job.id, token: job.token }
}
