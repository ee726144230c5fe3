import assert from 'node:assert/strict'
import { jobStates } from '../../core/job.ts'
import type { ListQuery } from '../../store/readers.ts'
import type { StoredJob } from '../../store/job.ts'
import type { Rule } from './harness.ts'
import { finish, hour, minute, newJob, unique } from './jobs.ts'
import { rulesOf } from './rule.ts'
import type { Scene } from './scene.ts'
import { situations } from './situations.ts'

/** What readers see. */
export const readerRules: readonly Rule[] = rulesOf('read', {
  'get answers in the order of its ids, null for what is not known': async (scene) => {
    const [a, b] = [await scene.enqueue(), await scene.enqueue()]
    const found = await scene.store.get([b, newJob().id, a, b])
    assert.deepEqual(
      found.map((job) => job?.id ?? null),
      [b, null, a, b],
    )
  },

  'what is read belongs to the reader': async (scene) => {
    const job = await scene.running()
    await scene.settle(finish(job, { attempt: '"e"' }))
    const before = structuredClone(await scene.job(job.id))
    const read = await scene.job(job.id)
    ;(read.attempts as string[]).push('mine')
    ;(read.counters as { attempts: number }).attempts = 99
    assert.deepEqual(await scene.job(job.id), before)
  },

  'list shows every job, newest first, as get shows it': async (scene) => {
    const names = [
      'blocked',
      'scheduled',
      'completed',
      'failed',
      'suspect',
      'ready',
      'running',
    ] as const
    const ids: string[] = []
    for (const name of names) ids.push((await situations[name].reach(scene, { queue: name })).id)
    const { jobs, next } = await scene.store.list({ limit: 100 })
    assert.equal(next, null)
    const mine = jobs.filter((job) => ids.includes(job.id))
    assert.deepEqual(
      mine.map((job) => job.id),
      ids.reverse(),
    )
    assert.deepEqual(mine, await scene.store.get(ids))
  },

  'a filter by what can be no id or no name fits nothing': async (scene) => {
    await scene.enqueue()
    for (const text of ['', 'x', "' OR true --", '{}', '%']) {
      for (const name of ['parent', 'group', 'uniqueKey', 'queue', 'tag']) {
        const { jobs } = await scene.store.list({ limit: 10, [name]: text })
        assert.deepEqual(jobs, [], `${name} ${text}`)
      }
    }
  },

  'a page after what is no cursor is refused': async (scene) => {
    await scene.enqueue()
    for (const after of ['', 'x', '-1', '1.5', '1e3', "1'", '99999999999999999999', 'NaN']) {
      await assert.rejects(scene.store.list({ limit: 1, after }), { code: 'invalid-option' })
    }
  },

  'list filters by each of its fields, and by all together': async (scene) => {
    const parent = newJob().id
    const start = await scene.now()
    await scene.enqueue({ delayMs: hour, queue: 'a', task: 't1' })
    await scene.enqueue({ queue: 'a', task: 't2', parent, unique: unique('k') })
    await scene.advance(minute)
    await scene.enqueue({ queue: 'b', task: 't1', parent })
    await scene.settle(finish(await scene.claimOne({ queues: [{ name: 'b', limit: 1 }] })))
    await scene.advance(minute)
    const cases: [Partial<ListQuery>, string[]][] = [
      [{ states: ['scheduled', 'ready'] }, ['a t2', 'a t1']],
      [{ states: ['completed'] }, ['b t1']],
      [{ states: [] }, []],
      [{ states: jobStates }, ['b t1', 'a t2', 'a t1']],
      [{ tasks: ['t1'] }, ['b t1', 'a t1']],
      [{ tasks: ['t2', 'nobody', 't1'] }, ['b t1', 'a t2', 'a t1']],
      [{ tasks: [] }, []],
      [{ queue: 'a' }, ['a t2', 'a t1']],
      [{ uniqueKey: 'k' }, ['a t2']],
      [{ parent }, ['b t1', 'a t2']],
      [{ createdFrom: start + 30_000 }, ['b t1']],
      [{ createdTo: start + 30_000 }, ['a t2', 'a t1']],
      [{ finishedFrom: start }, ['b t1']],
      [{ finishedTo: start + 30_000 }, []],
      [{ finishedFrom: start + 30_000, finishedTo: start + hour }, ['b t1']],
      [{ parent, queue: 'a', states: ['ready'], createdFrom: start - hour }, ['a t2']],
      [{ tasks: ['nobody', 't', '1', 't1 t2'] }, []],
    ]
    for (const [query, expected] of cases) {
      const jobs = await all(scene, { ...query, limit: 2 })
      assert.deepEqual(
        jobs.map((job) => `${job.queue} ${job.task}`),
        expected,
        JSON.stringify(query),
      )
    }
  },

  'pages are stable under inserts: none is seen twice, none that was there is missed': async (
    scene,
  ) => {
    const ids: string[] = []
    for (let n = 0; n < 25; n += 1) ids.push(await scene.enqueue())
    const jobs = await all(scene, { limit: 4 }, () => scene.enqueue())
    assert.deepEqual(
      jobs.map((job) => job.id),
      ids.reverse(),
    )
  },

  'pages are stable when jobs move and go between them': async (scene) => {
    const ids: string[] = []
    for (let n = 0; n < 12; n += 1) ids.push(await scene.enqueue())
    const seen = await all(scene, { limit: 3 }, async () => {
      const job = await scene.claimOne()
      await scene.settle(finish(job, { keepMs: 0 }))
    })
    const left = (await scene.picture()).jobs.map((job) => job.id)
    const seenIds = seen.map((job) => job.id)
    assert.equal(new Set(seenIds).size, seenIds.length)
    for (const id of left) assert.ok(seenIds.includes(id))
  },

  'pages are filtered before they are cut': async (scene) => {
    for (let n = 0; n < 30; n += 1) await scene.enqueue({ task: n % 10 === 0 ? 'rare' : 'common' })
    assert.equal((await all(scene, { tasks: ['rare'], limit: 2 })).length, 3)
  },

  'counts tell each queue and state that has jobs, and no other': async (scene) => {
    await scene.enqueue({ queue: 'a' })
    await scene.enqueue({ queue: 'a' })
    await scene.enqueue({ queue: 'a', delayMs: hour })
    await scene.settle(finish(await scene.running({ queue: 'b' })))
    const job = await scene.running({ queue: 'c' })
    const text = async (): Promise<string[]> =>
      (await scene.store.counts())
        .map(({ queue, state, count }) => `${queue} ${state} ${count}`)
        .sort()
    assert.deepEqual(await text(), ['a ready 2', 'a scheduled 1', 'b completed 1', 'c running 1'])
    await scene.settle(finish(job, { keepMs: 0 }))
    assert.deepEqual(await text(), ['a ready 2', 'a scheduled 1', 'b completed 1'])
  },

  'a job that nobody knows has no log': async (scene) => {
    assert.deepEqual(await scene.store.logs(newJob().id), [])
  },
})

/** All pages of a query, with something happening after each. */
async function all(
  scene: Scene,
  query: ListQuery,
  between: () => Promise<unknown> = async () => {},
): Promise<StoredJob[]> {
  const jobs: StoredJob[] = []
  let after: string | null = null
  for (let pages = 0; pages < 100; pages += 1) {
    const page = await scene.store.list(after === null ? query : { ...query, after })
    assert.ok(page.jobs.length <= query.limit)
    jobs.push(...page.jobs)
    after = page.next
    if (after === null) return jobs
    await between()
  }
  throw new assert.AssertionError({ message: 'the pages do not end' })
}
