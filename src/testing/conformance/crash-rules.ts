/** A client may die between any two calls, and any answer may be lost. */
import assert from 'node:assert/strict'
import type { ClaimedJob } from '../../store/job.ts'
import type { Store } from '../../store/store.ts'
import type { Rule } from './harness.ts'
import {
  requeue,
  claimOf,
  counted,
  rescueOf,
  finish,
  hour,
  leaseMs,
  minute,
  newJob,
  workerOf,
} from './jobs.ts'
import { rulesOf } from './rule.ts'
import { only, type Scene } from './scene.ts'

/** One job from its insert to its end, as a list of calls. Each may be the last that its client makes. */
interface Life {
  readonly id: string
  readonly followUp: string
  lease: ClaimedJob | null
}

const steps: readonly {
  readonly name: string
  readonly call: (store: Store, life: Life) => Promise<unknown>
}[] = [
  { name: 'insert', call: (store, { id }) => store.insert([newJob({ id })]) },
  { name: 'claim', call: claimNext },
  {
    name: 'start',
    call: (store, life) => store.note([{ ...leaseOf(life), kind: 'start', agoMs: 0 }]),
  },
  { name: 'renew', call: (store, life) => store.renew([leaseOf(life)], leaseMs) },
  {
    name: 'retry later',
    call: (store, life) =>
      store.settle([requeue(leaseOf(life), { delayMs: minute, attempt: '"e"' })]),
  },
  { name: 'claim of the retry', call: claimNext },
  { name: 'end with a follow-up', call: (store, life) => store.settle([ending(life)]) },
  { name: 'heartbeat', call: (store) => store.tend(workerOf({ stopped: true })) },
]

export const crashRules: readonly Rule[] = [
  ...steps.flatMap((step, index) =>
    rulesOf('crashes', {
      [`a client that dies after its ${step.name} loses nothing and does nothing twice`]: (scene) =>
        dieAfter(scene, index + 1),
    }),
  ),
  ...rulesOf('crashes', {
    'a life in which every call is made twice ends as one in which each is made once': async (
      scene,
    ) => {
      const life: Life = { id: newJob().id, followUp: newJob().id, lease: null }
      const other = await scene.another()
      for (const { name, call } of steps) {
        const first = await call(scene.store, life)
        const second = await scene.changesNothing(() => call(other, life))
        if (!name.startsWith('claim') && name !== 'heartbeat') assert.deepEqual(second, first, name)
        if (name === 'retry later') await scene.advance(minute + 1)
      }
      await endedOnce(scene, life, 2)
    },

    'a client that dies with five hundred claimed jobs loses none of them': async (scene) => {
      const dead = await scene.another()
      const jobs = Array.from({ length: 500 }, () => newJob())
      await dead.insert(jobs)
      await dead.claim(claimOf())
      await dead.close()
      await scene.advance(leaseMs + 1)
      const rescued: ClaimedJob[] = []
      for (let calls = 0; calls < 10; calls += 1) rescued.push(...(await scene.sweep()))
      assert.equal(new Set(rescued.map((job) => job.id)).size, 500)
      assert.ok(rescued.every((job) => job.startedAt === null))
      await scene.store.settle(rescued.map((job) => requeue(job)))
      assert.deepEqual(
        await scene.claimIds(),
        jobs.map((job) => job.id),
      )
    },

    'a sweeper that dies with what it swept leaves it to the next sweep': async (scene) => {
      const dead = await scene.another()
      const job = await scene.running()
      await scene.advance(leaseMs + 1)
      const swept = only((await dead.rescue(rescueOf())).jobs)
      await dead.close()
      const next = await scene.rescue()
      assert.equal(next.id, job.id)
      assert.equal(await scene.settle(finish(swept)), 'stale')
      assert.equal(await scene.settle(finish(next)), 'settled')
    },

    'a worker that stalls while others rescue and finish its job finds every call refused': async (
      scene,
    ) => {
      const stalled = await scene.another()
      await scene.enqueue()
      const job = only((await stalled.claim(claimOf())).jobs)
      const swept = await scene.rescue()
      await scene.settle(requeue(swept, { suspect: true, counters: counted({ losses: 1 }) }))
      const next = await scene.claimOne()
      for (let phase = 0; phase < 2; phase += 1) {
        await scene.changesNothing(async () => {
          assert.deepEqual(await stalled.renew([job], hour), ['stale'])
          assert.deepEqual(
            await stalled.note([{ id: job.id, token: job.token, kind: 'start', agoMs: 0 }]),
            ['stale'],
          )
          const followUps = [newJob({ queue: 'follow-ups' })]
          assert.deepEqual(
            await stalled.settle([finish(job, { followUps }), requeue(job, { followUps })]),
            ['stale', 'stale'],
          )
        })
        if (phase === 0) assert.equal(await scene.settle(finish(next)), 'settled')
      }
    },
  }),
]

async function dieAfter(scene: Scene, calls: number): Promise<void> {
  const life: Life = { id: newJob().id, followUp: newJob().id, lease: null }
  const dead = await scene.another()
  for (const { name, call } of steps.slice(0, calls)) {
    await call(dead, life)
    if (name === 'retry later') await scene.advance(minute + 1)
  }
  await dead.close()

  // Whoever inserted repeats the insert, and some other worker goes on.
  await scene.store.insert([newJob({ id: life.id })])
  let accepted = calls > 6 ? 1 : 0
  for (let turn = 0; turn < 5; turn += 1) {
    await scene.advance(leaseMs + 1)
    for (const job of await scene.sweep()) {
      const losses = job.counters.losses + (job.startedAt === null ? 0 : 1)
      const lost = requeue(job, {
        counters: { ...job.counters, losses },
        suspect: losses > 0,
        started: losses > 0,
      })
      assert.equal(await scene.settle(lost), 'settled')
    }
    for (const job of await scene.claim({ maxLosses: 3, id: null })) {
      assert.equal(await scene.settle(ending({ ...life, lease: job })), 'settled')
      accepted += 1
    }
    await scene.advance(minute)
  }
  assert.equal(accepted, 1)
  await endedOnce(scene, life, null)
}

async function endedOnce(scene: Scene, life: Life, errors: number | null): Promise<void> {
  await scene.shows(life.id, { state: 'completed', output: '"done"' })
  await scene.shows(life.followUp, { state: 'ready' })
  if (errors !== null) assert.equal((await scene.job(life.id)).attempts.length, errors)
  assert.equal((await scene.picture()).jobs.length, 2)
}

async function claimNext(store: Store, life: Life): Promise<void> {
  const [job] = (await store.claim(claimOf({ maxLosses: 3, id: null }))).jobs
  if (job !== undefined) life.lease = job
}

/** The follow-up's id derives from the parent and the edge, so that a repeat adds nothing. */
function ending(life: Life): ReturnType<typeof finish> {
  const followUps = [newJob({ id: life.followUp, parent: life.id, queue: 'follow-ups' })]
  return finish(leaseOf(life), { output: '"done"', attempt: '"e"', followUps })
}

function leaseOf(life: Life): { id: string; token: number } {
  if (life.lease === null) throw new assert.AssertionError({ message: 'nothing was claimed' })
  return { id: life.id, token: life.lease.token }
}
