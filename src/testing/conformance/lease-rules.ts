import assert from 'node:assert/strict'
import { keptLogLines } from '../../core/job.ts'
import type { Note } from '../../store/worker-calls.ts'
import type { Rule } from './harness.ts'
import { requeue, finish, hour, leaseMs, minute, newJob } from './jobs.ts'
import { rulesOf } from './rule.ts'

const renewRules: readonly Rule[] = rulesOf('renew', {
  'a renewed lease lasts from now on, and what is not named is not extended': async (scene) => {
    const [named, silent] = [await scene.running(), await scene.running()]
    await scene.advance(leaseMs - 1_000)
    const now = await scene.now()
    assert.deepEqual(await scene.store.renew([named], minute), ['renewed'])
    await scene.shows(named.id, { leaseUntil: now + minute })
    await scene.advance(2_000)
    assert.deepEqual(
      (await scene.sweep()).map((job) => job.id),
      [silent.id],
    )
  },

  'a live job that is renewed again and again is never rescued': async (scene) => {
    const job = await scene.running()
    for (let n = 0; n < 20; n += 1) {
      await scene.advance(leaseMs / 3)
      assert.deepEqual(await scene.store.renew([job], leaseMs), ['renewed'])
      assert.deepEqual(await scene.sweep(), [])
    }
    assert.equal(await scene.settle(finish(job)), 'settled')
  },

  'an outage by itself rescues nobody: an expired lease that nobody took is renewed': async (
    scene,
  ) => {
    const job = await scene.running()
    await scene.advance(10 * leaseMs)
    assert.deepEqual(await scene.store.renew([job], leaseMs), ['renewed'])
    assert.deepEqual(await scene.sweep(), [])
  },

  'a lease that another took is stale to renew, and the other one is not extended': async (
    scene,
  ) => {
    const job = await scene.running()
    const swept = await scene.rescue()
    assert.deepEqual(await scene.changesNothing(() => scene.store.renew([job], hour)), ['stale'])
    assert.deepEqual(await scene.store.renew([swept], leaseMs), ['renewed'])
  },

  'of two leases of one job that are named together, only the one that holds is renewed': async (
    scene,
  ) => {
    const lost = await scene.running()
    const swept = await scene.rescue()
    assert.deepEqual(await scene.store.renew([lost, swept], leaseMs), ['stale', 'renewed'])
    await scene.settle(requeue(swept))
    const claimed = await scene.claimOne()
    assert.deepEqual(await scene.store.renew([claimed, swept, lost], leaseMs), [
      'renewed',
      'stale',
      'stale',
    ])
  },

  'renew tells that a cancel was asked for, and extends the lease all the same': async (scene) => {
    const job = await scene.running()
    await scene.store.cancel([job.id], null)
    await scene.advance(leaseMs - 1_000)
    assert.deepEqual(await scene.store.renew([job], leaseMs), ['cancel-asked'])
    await scene.advance(2_000)
    assert.deepEqual(await scene.sweep(), [])
  },

  'renew answers in the order of its leases, each for itself': async (scene) => {
    await scene.store.insert(Array.from({ length: 100 }, () => newJob()))
    const jobs = [...(await scene.claim())].reverse()
    await scene.store.cancel([jobs[3]!.id], null)
    await scene.settle(finish(jobs[5]!))
    const answers = await scene.store.renew([...jobs, { id: newJob().id, token: 1 }], leaseMs)
    const expected = [...jobs.map(() => 'renewed'), 'stale']
    expected[3] = 'cancel-asked'
    expected[5] = 'stale'
    assert.deepEqual(answers, expected)
  },
})

const noteRules: readonly Rule[] = rulesOf('note', {
  'a start is written once, for the time when it was': async (scene) => {
    const { id, token } = await scene.running()
    const now = await scene.now()
    assert.deepEqual(await scene.store.note([{ id, token, kind: 'start', agoMs: 50 }]), ['noted'])
    await scene.advance(1_000)
    assert.deepEqual(await scene.store.note([{ id, token, kind: 'start', agoMs: 0 }]), ['noted'])
    await scene.shows(id, { startedAt: now - 50 })
  },

  'the start of a new run is its own': async (scene) => {
    const job = await scene.running()
    await scene.store.note([{ id: job.id, token: job.token, kind: 'start', agoMs: 0 }])
    await scene.settle(requeue(job, { started: true }))
    await scene.advance(minute)
    const { id, token } = await scene.claimOne()
    await scene.shows(id, { startedAt: null })
    const now = await scene.now()
    await scene.store.note([{ id, token, kind: 'start', agoMs: 0 }])
    await scene.shows(id, { startedAt: now })
  },

  'the last progress stays': async (scene) => {
    const { id, token } = await scene.running()
    await scene.store.note([
      { id, token, kind: 'progress', value: '1' },
      { id, token, kind: 'progress', value: '{"done":2}' },
    ])
    await scene.shows(id, { progress: '{"done":2}' })
  },

  'log lines are kept in their order, with their times': async (scene) => {
    const { id, token } = await scene.running()
    const now = await scene.now()
    const line = (text: string, agoMs: number): Note => ({
      id,
      token,
      kind: 'log',
      agoMs,
      level: 'info',
      text,
    })
    await scene.store.note([line('a', 20), line('b', 10)])
    await scene.store.note([{ ...line('c "ü"\n', 0), level: 'error' } as Note])
    const logs = await scene.store.logs(id)
    assert.deepEqual(
      logs.map(({ level, text }) => [level, text]),
      [
        ['info', 'a'],
        ['info', 'b'],
        ['error', 'c "ü"\n'],
      ],
    )
    for (const [index, agoMs] of [20, 10, 0].entries()) scene.near(logs[index]!.at, now - agoMs)
  },

  'log lines survive the end of the job and go with it': async (scene) => {
    const job = await scene.running()
    const { id, token } = job
    await scene.store.note([{ id, token, kind: 'log', agoMs: 0, level: 'warn', text: 'x' }])
    await scene.settle(finish(job))
    assert.equal((await scene.store.logs(id)).length, 1)
    await scene.store.remove([id])
    assert.deepEqual(await scene.store.logs(id), [])
  },

  'a job keeps its first log lines and drops the ones beyond the limit': async (scene) => {
    const { id, token } = await scene.running()
    const line = (n: number): Note => ({
      id,
      token,
      kind: 'log',
      agoMs: 0,
      level: 'debug',
      text: String(n),
    })
    await scene.store.note(Array.from({ length: keptLogLines - 1 }, (_, n) => line(n)))
    assert.deepEqual(await scene.store.note([line(keptLogLines - 1), line(keptLogLines)]), [
      'noted',
      'noted',
    ])
    await scene.store.note([line(keptLogLines + 1)])
    const logs = await scene.store.logs(id)
    assert.deepEqual(
      logs.map((one) => one.text),
      Array.from({ length: keptLogLines }, (_, n) => String(n)),
    )
  },

  'notes of several jobs answer in their order, and a stale one does not stop the rest': async (
    scene,
  ) => {
    const [a, b] = [await scene.running(), await scene.running()]
    const start = { kind: 'start', agoMs: 0 } as const
    const answers = await scene.store.note([
      { ...leaseOf(b), ...start },
      { id: a.id, token: b.token + 1, ...start },
      { id: newJob().id, token: 1, ...start },
      { ...leaseOf(a), ...start },
    ])
    assert.deepEqual(answers, ['noted', 'stale', 'stale', 'noted'])
    assert.notEqual((await scene.job(a.id)).startedAt, null)
  },

  'a note does not extend the lease': async (scene) => {
    const { id, token } = await scene.running()
    const { leaseUntil } = await scene.job(id)
    await scene.advance(1_000)
    await scene.store.note([{ id, token, kind: 'start', agoMs: 0 }])
    assert.equal((await scene.job(id)).leaseUntil, leaseUntil)
  },
})

export const leaseRules: readonly Rule[] = [...renewRules, ...noteRules]

function leaseOf(job: { readonly id: string; readonly token: number }): {
  id: string
  token: number
} {
  return { id: job.id, token: job.token }
}
