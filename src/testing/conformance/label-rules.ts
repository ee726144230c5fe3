import assert from 'node:assert/strict'
import type { ListQuery } from '../../store/readers.ts'
import type { Rule } from './harness.ts'
import { finish, newJob, requeue, unique } from './jobs.ts'
import { rulesOf } from './rule.ts'
import type { Scene } from './scene.ts'

/** Groups, tags, headers, and what is found by them and by what is inside of payloads. */
export const labelRules: readonly Rule[] = rulesOf('labels', {
  'a job is handed out and shown with its group, tags and headers': async (scene) => {
    const labels = { group: 'g-1', tags: ['eu', 'vip'], headers: { tenant: 'ada' } }
    const job = await scene.running(labels)
    scene.same(await scene.job(job.id), labels)
    assert.deepEqual({ group: job.group, tags: job.tags, headers: job.headers }, labels)
    await scene.settle(requeue(job, { delayMs: 1_000 }))
    await scene.advance(1_001)
    const again = await scene.claimOne()
    assert.deepEqual([again.group, again.tags, again.headers], Object.values(labels))
    const bare = await scene.running()
    assert.deepEqual([bare.group, bare.tags, bare.headers], [null, [], {}])
  },

  'follow-ups have labels of their own': async (scene) => {
    const job = await scene.running()
    const next = newJob({ parent: job.id, group: 'g-2', tags: ['t'], headers: { a: 'b' } })
    await scene.settle(finish(job, { followUps: [next] }))
    scene.same(await scene.job(next.id), { group: 'g-2', tags: ['t'], headers: { a: 'b' } })
  },

  'replace gives a waiting job the new labels': async (scene) => {
    const rule = unique('k', { onConflict: 'replace' })
    const id = await scene.enqueue({
      unique: rule,
      group: 'old',
      tags: ['old'],
      headers: { a: '1' },
    })
    await scene.tryInsert({ unique: rule, group: 'new', tags: ['new'], headers: { b: '2' } })
    scene.same(await scene.job(id), { group: 'new', tags: ['new'], headers: { b: '2' } })
    assert.deepEqual(await found(scene, { group: 'old' }), [])
    assert.deepEqual(await found(scene, { group: 'new' }), [id])
    await scene.tryInsert({ unique: rule })
    scene.same(await scene.job(id), { group: null, tags: [], headers: {} })
    assert.deepEqual(await found(scene, { group: 'new' }), [])
  },

  'jobs are listed by group, in every state, and no more once they are removed': async (scene) => {
    const done = await scene.running({ group: 'a' })
    await scene.settle(finish(done))
    const ids = [done.id]
    ids.push(
      await scene.enqueue({ group: 'a' }),
      await scene.enqueue({ group: 'a', delayMs: 9_000 }),
    )
    await scene.enqueue({ group: 'b' })
    await scene.enqueue()
    assert.deepEqual(await found(scene, { group: 'a' }), ids.toReversed())
    assert.deepEqual(await found(scene, { group: 'a', states: ['completed'] }), [done.id])
    assert.deepEqual(await found(scene, { group: 'a', limit: 1 }), ids.toReversed())
    assert.deepEqual(await found(scene, { group: 'c' }), [])
    await scene.store.remove([done.id])
    assert.deepEqual(await found(scene, { group: 'a' }), ids.slice(1).toReversed())
  },

  'jobs are listed by one tag, whatever else they have': async (scene) => {
    const both = await scene.enqueue({ tags: ['eu', 'vip'] })
    const one = await scene.enqueue({ tags: ['vip'], group: 'g' })
    await scene.enqueue({ tags: ['vi'] })
    await scene.enqueue()
    assert.deepEqual(await found(scene, { tag: 'vip' }), [one, both])
    assert.deepEqual(await found(scene, { tag: 'vip', group: 'g' }), [one])
    assert.deepEqual(await found(scene, { tag: 'vip', limit: 1 }), [one, both])
    assert.deepEqual(await found(scene, { tag: 'v' }), [])
  },

  'jobs are listed by the schedule whose ticks they are': async (scene) => {
    const tick = (schedule: string): string => JSON.stringify({ tick: { schedule, plannedAt: 1 } })
    const nightly = await scene.enqueue({ options: tick('nightly') })
    const tagged = await scene.enqueue({ options: tick('nightly'), tags: ['eu'] })
    await scene.enqueue({ options: tick('nightly two') })
    await scene.enqueue({ options: '{"timeout":1}' })
    await scene.enqueue({ input: tick('nightly'), tags: ['nightly'] })
    assert.deepEqual(await found(scene, { schedule: 'nightly' }), [tagged, nightly])
    assert.deepEqual(await found(scene, { schedule: 'nightly', tag: 'eu' }), [tagged])
    assert.deepEqual(await found(scene, { schedule: 'none' }), [])
  },

  'jobs are found by a value inside of their input or output': async (scene) => {
    const order = { customer: { id: 7, name: 'Ada 😀' }, lines: [{ sku: 'x' }, { sku: 'y' }] }
    const id = await scene.enqueue({ input: JSON.stringify(order) })
    await scene.enqueue({ input: '{"customer":{"id":8}}' })
    await scene.enqueue({ input: '7' })
    await scene.enqueue({ input: JSON.stringify(order), codec: 'secret' })
    const search = (path: readonly string[], equals: string): Promise<string[]> =>
      found(scene, { search: { in: 'input', path, equals } })
    assert.deepEqual(await search(['customer', 'id'], '7'), [id])
    assert.deepEqual(await search(['customer', 'name'], '"Ada 😀"'), [id])
    assert.deepEqual(await search(['lines', '1', 'sku'], '"y"'), [id])
    assert.deepEqual(await search(['lines', '1'], '{"sku":"y"}'), [id])
    assert.deepEqual(await search(['customer', 'id'], '"7"'), [])
    assert.deepEqual(await search(['customer', 'length'], '7'), [])
    assert.equal((await search([], '7')).length, 1)

    const job = await scene.running({ queue: 'done', input: '{"a":1}' })
    await scene.settle(finish(job, { output: '{"ok":[true]}' }))
    const byOutput = { search: { in: 'output', path: ['ok', '0'], equals: 'true' } } as const
    assert.deepEqual(await found(scene, byOutput), [job.id])
  },

  'a search among many jobs goes on from page to page': async (scene) => {
    const wanted: string[] = []
    for (let batch = 0; batch < 3; batch += 1) {
      const jobs = Array.from({ length: 400 }, (_, n) =>
        newJob({ input: JSON.stringify({ n, rare: n % 200 === 7 }), tags: n % 2 ? ['odd'] : [] }),
      )
      await scene.store.insert(jobs)
      wanted.push(...jobs.filter((_, n) => n % 200 === 7).map(({ id }) => id))
    }
    const search = { in: 'input', path: ['rare'], equals: 'true' } as const
    const listed = await found(scene, { search, tag: 'odd', limit: 2 })
    assert.deepEqual(listed.toSorted(), wanted.toSorted())
  },

  'statistics tell each queue by its states and its oldest ready job': async (scene) => {
    assert.deepEqual(await scene.store.stats(), [])
    const since = await scene.now()
    await scene.enqueue({ queue: 'b', priority: 5 })
    await scene.advance(5_000)
    await scene.enqueue({ queue: 'b', priority: -5 })
    await scene.enqueue({ queue: 'c', delayMs: 60_000 })
    const running = await scene.running({ queue: 'a' })
    const stats = await scene.store.stats()
    assert.deepEqual(
      stats.map(({ queue, counts }) => ({ queue, counts })),
      [
        { queue: 'a', counts: { running: 1 } },
        { queue: 'b', counts: { ready: 2 } },
        { queue: 'c', counts: { scheduled: 1 } },
      ],
    )
    assert.deepEqual([stats[0]?.oldestReadyAt, stats[2]?.oldestReadyAt], [null, null])
    scene.near(stats[1]?.oldestReadyAt ?? null, since)
    await scene.settle(finish(running))
    const [first] = await scene.store.stats()
    assert.deepEqual(first?.counts, { completed: 1 })
  },
})

/** The ids of all jobs that fit, page by page. */
async function found(scene: Scene, query: Partial<ListQuery>): Promise<string[]> {
  const ids: string[] = []
  let after: string | null = null
  do {
    const cursor: Partial<ListQuery> = after === null ? {} : { after }
    const page = await scene.store.list({ limit: 100, ...query, ...cursor })
    ids.push(...page.jobs.map(({ id }) => id))
    after = page.next
  } while (after !== null)
  return ids
}
