import assert from 'node:assert/strict'
import { jobStates, type JobState } from '../../core/job.ts'
import type { Rule } from './harness.ts'
import { requeue, finish, hour, leaseMs, minute, newJob, unique } from './jobs.ts'
import { rulesOf } from './rule.ts'
import { only, type Scene } from './scene.ts'
import { situationNames, situations, type SituationName } from './situations.ts'

const key = 'k'

/** A key is held in the listed states and in no other, by whichever way the job came there. */
const heldRules: readonly Rule[] = situationNames
  .filter((name) => name !== 'unknown')
  .flatMap((name) =>
    rulesOf('unique', {
      [`a job that is ${name} holds its key when the rule lists its state`]: (scene) =>
        reachesAndHolds(scene, name, [situations[name].state], 'duplicate'),
      [`a job that is ${name} does not hold its key when the rule lists only other states`]: (
        scene,
      ) =>
        reachesAndHolds(
          scene,
          name,
          jobStates.filter((state) => state !== situations[name].state),
          'created',
        ),
    }),
  )

async function reachesAndHolds(
  scene: Scene,
  name: SituationName,
  during: readonly JobState[],
  expected: string,
): Promise<void> {
  const { id } = await situations[name].reach(scene, { unique: unique(key, { during }) })
  const job = newJob({ unique: unique(key, { during }), queue: 'second' })
  const [answer] = await scene.store.insert([job])
  assert.deepEqual(answer, {
    id: expected === 'created' ? job.id : id,
    status: expected,
    token: null,
  })
}

export const uniqueRules: readonly Rule[] = [
  ...heldRules,
  ...rulesOf('unique', {
    'a held key answers the id of its holder, and nothing is stored': async (scene) => {
      const holder = await scene.enqueue({ unique: unique(key) })
      const other = await scene.another()
      const answers = await scene.changesNothing(() =>
        other.insert([
          newJob({ unique: unique(key), input: '"2"' }),
          newJob({ unique: unique(key) }),
        ]),
      )
      const duplicate = { id: holder, status: 'duplicate', token: null }
      assert.deepEqual(answers, [duplicate, duplicate])
    },

    'one key is no other, to the letter': async (scene) => {
      for (const one of ['k', 'K', 'k ', 'kk', 'ḱ', '"k"', 'k:a', 'k%3Aa', 'k%253Aa', 'k::a']) {
        assert.equal(await scene.tryInsert({ unique: unique(one) }), 'created', one)
      }
      assert.equal(await scene.tryInsert({}), 'created')
    },

    'jobs without a key never conflict': async (scene) => {
      for (let n = 0; n < 3; n += 1) assert.equal(await scene.tryInsert({ input: '{}' }), 'created')
    },

    'a conflict of one job leaves its neighbours in the batch alone': async (scene) => {
      await scene.enqueue({ unique: unique(key) })
      const batch = [newJob(), newJob({ unique: unique(key) }), newJob()]
      const answers = await scene.store.insert(batch)
      assert.deepEqual(
        answers.map((answer) => answer.status),
        ['created', 'duplicate', 'created'],
      )
      assert.equal((await scene.claim()).length, 3)
    },

    'of several jobs with one key in a batch the first wins': async (scene) => {
      const batch = [
        newJob({ unique: unique(key) }),
        newJob({ unique: unique(key) }),
        newJob({ unique: unique(key) }),
      ]
      const { id } = batch[0]!
      assert.deepEqual(await scene.store.insert(batch), [
        { id, status: 'created', token: null },
        { id, status: 'duplicate', token: null },
        { id, status: 'duplicate', token: null },
      ])
    },

    'a later job of a batch may replace the earlier one': async (scene) => {
      const rule = unique(key, { onConflict: 'replace' })
      const batch = [newJob({ unique: rule, input: '1' }), newJob({ unique: rule, input: '2' })]
      const { id } = batch[0]!
      assert.deepEqual(await scene.store.insert(batch), [
        { id, status: 'created', token: null },
        { id, status: 'replaced', token: null },
      ])
      await scene.shows(id, { input: '2' })
      assert.equal((await scene.picture()).jobs.length, 1)
    },

    'the key is released with the claim when running is not listed': async (scene) => {
      await scene.running({ unique: unique(key) })
      assert.equal(await scene.tryInsert({ unique: unique(key) }), 'created')
      assert.equal(await scene.tryInsert({ unique: unique(key) }), 'duplicate')
    },

    'of two jobs of one claim, the first handed out lets its key go to the second': async (
      scene,
    ) => {
      await scene.enqueue({ priority: 1, unique: unique(key, { during: ['running'] }) })
      await scene.enqueue({ priority: 0, unique: unique(key, { during: ['ready'] }) })
      assert.equal((await scene.claim()).length, 2)
      assert.equal(await scene.tryInsert({ unique: unique(key) }), 'duplicate')
    },

    'a job that is rescued takes its key again when it is free': async (scene) => {
      const first = await scene.enqueue({ unique: unique(key, { during: ['running'] }) })
      await scene.enqueue({ unique: unique(key, { during: ['ready'] }) })
      assert.equal((await scene.claimOne()).id, first)
      await scene.claimOne()
      await scene.advance(leaseMs + 1)
      assert.equal((await scene.sweep()).length, 2)
      assert.equal(await scene.tryInsert({ unique: unique(key) }), 'duplicate')
    },

    'a job that is put back takes its key again when it is free': async (scene) => {
      const job = await scene.running({ unique: unique(key) })
      await scene.settle(requeue(job))
      const [answer] = await scene.store.insert([newJob({ unique: unique(key) })])
      assert.deepEqual(answer, { id: job.id, status: 'duplicate', token: null })
    },

    'a job that is put back while another holds its key goes on without it': async (scene) => {
      const job = await scene.running({ unique: unique(key) })
      const holder = await scene.enqueue({ unique: unique(key), queue: 'second' })
      assert.equal(await scene.settle(requeue(job)), 'settled')
      await scene.shows(job.id, { state: 'ready', uniqueKey: key })
      const [answer] = await scene.store.insert([newJob({ unique: unique(key) })])
      assert.equal(answer?.id, holder)
      const [, second] = [
        await scene.claimOne(),
        await scene.claimOne({ queues: [{ name: 'second', limit: 1 }] }),
      ]
      assert.equal(second.id, holder)
    },

    'a job that went on without its key does not release it when it ends': async (scene) => {
      const job = await scene.running({ unique: unique(key) })
      const holder = await scene.enqueue({ unique: unique(key), queue: 'second' })
      await scene.settle(requeue(job))
      await scene.settle(finish(await scene.claimOne()))
      const [answer] = await scene.store.insert([newJob({ unique: unique(key) })])
      assert.deepEqual(answer, { id: holder, status: 'duplicate', token: null })
    },

    'a key that is held for a time outlives its job and ends with the time': async (scene) => {
      const rule = unique(key, { forMs: hour })
      const job = await scene.running({ unique: rule })
      assert.equal(await scene.tryInsert({ unique: rule }), 'duplicate')
      await scene.settle(finish(job))
      await scene.advance(hour - minute)
      const [answer] = await scene.store.insert([newJob({ unique: rule })])
      assert.deepEqual(answer, { id: job.id, status: 'duplicate', token: null })
      await scene.advance(minute + 1)
      assert.equal(await scene.tryInsert({ unique: rule }), 'created')
    },

    'a key that is held for a time stays held when the finished job is not kept': async (scene) => {
      const rule = unique(key, { forMs: hour })
      const job = await scene.running({ unique: rule })
      await scene.settle(finish(job, { keepMs: 0 }))
      await scene.store.prune({ limit: 100, cap: 0 })
      const [answer] = await scene.store.insert([newJob({ unique: rule })])
      assert.deepEqual(answer, { id: job.id, status: 'duplicate', token: null })
      await scene.advance(hour + 1)
      assert.equal(await scene.tryInsert({ unique: rule }), 'created')
    },

    'a key whose time has passed is held on while its job is in a listed state': async (scene) => {
      const rule = unique(key, { forMs: minute })
      await scene.enqueue({ unique: rule })
      await scene.advance(hour)
      assert.equal(await scene.tryInsert({ unique: rule }), 'duplicate')
      await scene.claim()
      assert.equal(await scene.tryInsert({ unique: rule }), 'created')
    },

    'a finished job holds a listed key only as long as it is kept': async (scene) => {
      const rule = unique(key, { during: ['ready', 'running', 'completed'] })
      const job = await scene.running({ unique: rule })
      await scene.settle(finish(job, { keepMs: minute }))
      assert.equal(await scene.tryInsert({ unique: rule }), 'duplicate')
      await scene.advance(minute + 1)
      await scene.store.prune({ limit: 10, cap: 100 })
      assert.equal(await scene.tryInsert({ unique: rule }), 'created')
    },

    'removing a job frees its key at once, even one held for a time': async (scene) => {
      const rule = unique(key, { forMs: hour })
      const id = await scene.enqueue({ unique: rule })
      await scene.store.remove([id])
      assert.equal(await scene.tryInsert({ unique: rule }), 'created')
    },

    'cancelling a waiting job frees its key': async (scene) => {
      const id = await scene.enqueue({ unique: unique(key), delayMs: hour })
      await scene.store.cancel([id], null)
      assert.equal(await scene.tryInsert({ unique: unique(key) }), 'created')
    },

    'an operator cannot retry a job whose key another one holds': async (scene) => {
      const job = await scene.running({ unique: unique(key) })
      await scene.settle(finish(job, { state: 'failed' }))
      const holder = await scene.enqueue({ unique: unique(key) })
      assert.deepEqual(await scene.changesNothing(() => scene.store.retry([job.id])), ['duplicate'])
      await scene.store.cancel([holder], null)
      assert.deepEqual(await scene.store.retry([job.id]), ['retried'])
      assert.deepEqual(await scene.store.retry([holder]), ['duplicate'])
    },

    'of two failed jobs with one key, retried together, one comes back': async (scene) => {
      const ids: string[] = []
      for (let n = 0; n < 2; n += 1) {
        const job = await scene.running({ unique: unique(key) })
        await scene.settle(finish(job, { state: 'failed' }))
        ids.push(job.id)
      }
      assert.deepEqual(await scene.store.retry(ids), ['retried', 'duplicate'])
    },

    'a job given its key by retry holds it': async (scene) => {
      const job = await scene.running({ unique: unique(key) })
      await scene.settle(finish(job, { state: 'discarded' }))
      await scene.store.retry([job.id])
      assert.equal(await scene.tryInsert({ unique: unique(key) }), 'duplicate')
    },

    'an inline job holds its key while it runs, when running is listed': async (scene) => {
      const rule = unique(key, { during: ['ready', 'running'] })
      const job = newJob({ unique: rule, entry: { kind: 'running', worker: 'me', leaseMs: hour } })
      const { token } = only(await scene.store.insert([job]))
      assert.equal(await scene.tryInsert({ unique: rule }), 'duplicate')
      await scene.settle(finish({ id: job.id, token: token as number }))
      assert.equal(await scene.tryInsert({ unique: rule }), 'created')
    },
  }),
]
