import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { task, type AnyTask } from '../../src/core/task.ts'
import type { Store } from '../../src/store/store.ts'
import { memory, MemoryDatabase } from '../../src/stores/memory/index.ts'
import { sqlite } from '../../src/stores/sqlite/index.ts'
import { VirtualClock } from '../../src/testing/virtual-clock.ts'
import { Courtesy } from '../../src/worker/courtesy.ts'
import { appOn, newFile, type Bench } from './harness.ts'

const other = task({ name: 'other', run: () => 1 })

/** Workers do not know it. */
const unknown = task({ name: 'unknown' })

/** Opens one store again and again. */
const stores: Readonly<Record<string, (t: TestContext) => () => Store>> = {
  memory: () => {
    const [clock, database] = [new VirtualClock(), new MemoryDatabase()]
    return () => memory({ clock, database })
  },
  sqlite: (t) => {
    const file = newFile(t)
    return () => sqlite(file)
  },
}

/** Old workers, which know only `other`, and one that knows all of the tasks. */
async function rollingDeploy(
  t: TestContext,
  open: () => Store,
  old: number,
  tasks: readonly AnyTask[],
): Promise<Bench> {
  for (let i = 0; i < old; i++) await appOn(t, open(), { tasks: [other] }).work()
  const fresh = appOn(t, open(), { tasks: [other, ...tasks] })
  await fresh.work()
  return fresh
}

for (const [name, opener] of Object.entries(stores)) {
  test(`${name}: jobs that old workers do not know start in time at the one idle worker that does`, async (t) => {
    const soon = task({ name: 'soon', startWithin: '2s', run: () => 1 })
    const bounded = task({ name: 'bounded', deadline: '2s', run: () => 1 })
    const fresh = await rollingDeploy(t, opener(t), 4, [soon, bounded])
    const ids: string[] = []
    for (let i = 0; i < 10; i++) {
      ids.push(
        (await fresh.client.enqueue(soon, undefined)).id,
        (await fresh.client.enqueue(bounded, undefined)).id,
      )
      await fresh.pass(20)
    }
    for (const id of ids) {
      const job = await fresh.reach(id, 'completed', 'failed')
      assert.deepEqual([job.state, job.reason, job.deferrals], ['completed', null, 0])
    }
  })

  test(`${name}: a job that was put aside before a worker knew it still starts in time`, async (t) => {
    const soon = task({ name: 'soon', startWithin: '10s', run: () => 1 })
    const open = opener(t)
    const old = appOn(t, open(), { tasks: [other] })
    await old.work()
    const fresh = appOn(t, open(), { tasks: [soon] })
    const { id } = await fresh.client.enqueue(soon, undefined)
    await old.until(
      'it to be put aside',
      async () => ((await old.jobs.get(id))?.deferrals ?? 0) > 0,
    )
    await fresh.work()
    assert.equal((await fresh.reach(id, 'completed', 'failed')).state, 'completed')
  })

  test(`${name}: an old worker serves what it knows behind a crowd of what nobody knows`, async (t) => {
    const open = opener(t)
    const old = appOn(t, open(), { tasks: [other], queues: { '*': {} } })
    for (const queue of ['default', 'unnamed']) {
      await old.client.enqueueMany(
        Array.from({ length: 300 }, () => [unknown, 1, { queue }] as const),
      )
    }
    const ids = await Promise.all(
      ['default', 'unnamed'].map((queue) => old.client.enqueue(other, undefined, { queue })),
    )
    await old.work()
    for (const { id } of ids) await old.reach(id, 'completed')
  })
}

test('what is met once is offered, with a rest that grows while it comes back, and then put aside for a while', () => {
  const courtesy = new Courtesy()
  const rests: number[] = []
  let now = 1_000
  const meet = (): string => {
    courtesy.asked()
    const verdict = courtesy.meet(now)
    if (verdict === 'offer') rests.push(courtesy.restUntil - now)
    now = Math.max(now, courtesy.restUntil)
    return verdict
  }
  assert.deepEqual([meet(), meet(), meet(), meet()], ['offer', 'offer', 'offer', 'aside'])
  assert.deepEqual(rests, [50, 100, 200])
  now += 4_999
  assert.equal(courtesy.meet(now), 'aside')
  now += 1
  assert.equal(meet(), 'offer')
})

test('jobs of one claim are one offer', () => {
  const courtesy = new Courtesy()
  for (let i = 0; i < 10; i++) assert.equal(courtesy.meet(1_000), 'offer')
  assert.equal(courtesy.restUntil, 1_050)
})

test('who offers in vain again and again offers more rarely, until somebody has taken what was offered', () => {
  const courtesy = new Courtesy()
  let now = 1_000
  const untilAside = (): void => {
    do {
      courtesy.asked()
      now = Math.max(now, courtesy.restUntil)
    } while (courtesy.meet(now) === 'offer')
  }
  const vainMs = (): number => {
    untilAside()
    const from = now
    while (courtesy.meet(now) === 'aside') now += 500
    now = courtesy.restUntil
    return now - from
  }
  assert.ok(vainMs() < 6_000)
  assert.ok(vainMs() > 9_000)
  assert.ok(vainMs() > 19_000)
  // Claims that bring none of them: they have been taken.
  for (let i = 0; i < 3; i++) courtesy.asked()
  assert.equal(courtesy.meet(now), 'offer')
  assert.ok(vainMs() < 6_000)
})

test('news is heard late for a minute after the last job of an unknown task, and then at once', () => {
  const courtesy = new Courtesy()
  courtesy.news(1_000)
  assert.equal(courtesy.isResting(1_000), false)
  courtesy.meet(1_000)
  courtesy.news(10_000)
  assert.deepEqual([courtesy.isResting(10_099), courtesy.isResting(10_100)], [true, false])
  courtesy.news(61_000)
  assert.equal(courtesy.isResting(61_000), false)
})
