import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { KeptError } from '../core/job.ts'
import { task, type AnyTask } from '../core/task.ts'
import { createErrand, type Errand } from '../errand.ts'
import type { Store } from '../store/store.ts'
import { memory } from '../stores/memory/index.ts'
import { claimByHand, endByHand } from '../testing/by-hand.ts'
import { VirtualClock } from '../testing/virtual-clock.ts'
import { App } from '../app/app.ts'
import { describeTask } from '../app/registered-tasks.ts'

const work = task<number>({ name: 'work' })
const other = task<number>({ name: 'other', queue: 'aside' })

interface Scene {
  readonly clock: VirtualClock
  readonly store: Store
  readonly errand: Errand
}

function scene(): Scene {
  const clock = new VirtualClock()
  const store = memory({ clock })
  return { clock, store, errand: createErrand({ store, tasks: [work, other] }) }
}

async function many(errand: Errand, count: number, of = work): Promise<readonly string[]> {
  const jobs = await errand.enqueueMany(Array.from({ length: count }, (_, i) => [of, i] as const))
  return jobs.map(({ id }) => id)
}

const oops: KeptError = { type: 'Error', message: 'no', stack: null, code: null, attempt: 1, at: 5 }

describe('a task that was renamed', () => {
  const renamed = task<number>({ name: 'work.new', aliases: ['work', 'work.older'] })
  const setUp = async (tasks: readonly AnyTask[]): Promise<Errand> => {
    const store = memory()
    const old = createErrand({ store, tasks: [work, other] })
    await old.enqueue(work, 1)
    await old.enqueue(other, 1)
    await createErrand({ store, tasks: [renamed] }).enqueue(renamed, 2)
    await store.registerTasks([describeTask(new App({ store, tasks: [renamed] }, '/'), renamed)])
    return createErrand({ store, tasks })
  }

  for (const [where, tasks] of [
    ['the app', [renamed]],
    ['the registry', []],
  ] as const) {
    it(`is listed by any of its names, as ${where} knows them`, async () => {
      const errand = await setUp(tasks)
      for (const name of ['work', 'work.new', 'work.older']) {
        const { jobs } = await errand.jobs.list({ task: name })
        assert.deepEqual(
          jobs.map((job) => job.task),
          ['work.new', 'work'],
          name,
        )
      }
      assert.equal((await errand.jobs.list({ task: 'other' })).jobs.length, 1)
      assert.deepEqual((await errand.jobs.list({ task: 'nobody' })).jobs, [])
    })
  }

  it('is cancelled by any of its names', async () => {
    const errand = await setUp([renamed])
    assert.deepEqual(await errand.jobs.cancel({ task: 'work.new' }), { cancelled: 2 })
  })
})

describe('records', () => {
  it('show a job as it stands, with dates and decoded payloads', async () => {
    const { clock, store, errand } = scene()
    const { id } = await errand.enqueue(work, 7, {
      priority: -3,
      unique: { key: 'k' },
      deadline: '1h',
    })
    const waiting = await errand.jobs.get(id)
    assert.deepEqual(
      [
        waiting?.state,
        waiting?.attempt,
        waiting?.input,
        waiting?.output,
        waiting?.key,
        waiting?.priority,
      ],
      ['ready', 0, 7, undefined, 'work:k', -3],
    )
    assert.deepEqual(waiting?.createdAt, new Date(clock.now()))
    assert.deepEqual(waiting.deadlineAt, new Date(clock.now() + 3_600_000))
    assert.equal(waiting.startBy, null)

    const [job] = await claimByHand(store)
    await store.note([
      { id, token: job!.token, kind: 'start', agoMs: 0 },
      { id, token: job!.token, kind: 'progress', value: '{"done":3}' },
    ])
    const running = await errand.jobs.get(id)
    assert.deepEqual(
      [running?.state, running?.attempt, running?.worker, running?.progress],
      ['running', 1, 'by-hand', { done: 3 }],
    )
    assert.ok(running!.leaseUntil! > running!.startedAt!)

    await endByHand(store, job!, { state: 'failed', reason: 'error', error: oops })
    const failed = await errand.jobs.get(id)
    assert.deepEqual(
      [failed?.state, failed?.attempt, failed?.attempts, failed?.reason, failed?.errors],
      ['failed', 1, 1, 'error', [oops]],
    )
  })

  it('are null for a job that is not known', async () => {
    assert.equal(await scene().errand.jobs.get('nobody'), null)
  })

  it('tell their log lines', async () => {
    const { store, errand } = scene()
    const { id } = await errand.enqueue(work, 1)
    const [job] = await claimByHand(store)
    await store.note([
      { id, token: job!.token, kind: 'log', agoMs: 0, level: 'info', text: 'hello' },
    ])
    assert.deepEqual(
      (await errand.jobs.logs(id)).map(({ text }) => text),
      ['hello'],
    )
  })
})

describe('lists', () => {
  it('go newest first, by pages', async () => {
    const { errand } = scene()
    const ids = await many(errand, 250)
    const seen: string[] = []
    for (let after: string | null | undefined; after !== null;) {
      const page = await errand.jobs.list(after === undefined ? {} : { after })
      assert.ok(page.jobs.length <= 100)
      seen.push(...page.jobs.map(({ id }) => id))
      after = page.next
    }
    assert.deepEqual(seen, ids.toReversed())
  })

  it('are filtered by state, task, queue, key, parent and times', async () => {
    const { clock, errand } = scene()
    const start = new Date(clock.now())
    await many(errand, 2)
    await clock.advance(60_000)
    const [aside] = await many(errand, 1, other)
    const { id: keyed } = await errand.enqueue(work, 9, { unique: { key: 'k' }, delay: '1h' })
    const ids = async (filter: Parameters<Errand['jobs']['list']>[0]): Promise<readonly string[]> =>
      (await errand.jobs.list(filter)).jobs.map(({ id }) => id)
    assert.deepEqual(await ids({ state: 'scheduled' }), [keyed])
    assert.equal((await ids({ state: ['ready', 'scheduled'] })).length, 4)
    assert.deepEqual(await ids({ task: 'other' }), [aside])
    assert.deepEqual(await ids({ queue: 'aside' }), [aside])
    assert.deepEqual(await ids({ key: 'work:k' }), [keyed])
    assert.deepEqual(await ids({ parent: 'x' }), [])
    assert.equal((await ids({ created: { from: start, to: new Date(clock.now()) } })).length, 2)
    assert.deepEqual(await ids({ finished: { from: start } }), [])
    assert.equal((await ids({ limit: 3 })).length, 3)
  })

  it('refuse filters that are none', async () => {
    const { errand } = scene()
    const refused: readonly (readonly [object, RegExp])[] = [
      [{ states: 'failed' }, /Did you mean state\?/],
      [{ state: 'done' }, /"done", which is no state/],
      [{ task: undefined }, /task has no value/],
      [{ task: 5 }, /task must be a text/],
      [{ created: { since: new Date() } }, /Known are: from, to/],
      [{ created: { from: 'today' } }, /valid Date/],
      [{ limit: 1_001 }, /limit/],
      [{ limit: 0 }, /limit/],
    ]
    for (const [filter, message] of refused) {
      await assert.rejects(errand.jobs.list(filter), { code: 'invalid-option', message })
    }
  })
})

describe('verbs', () => {
  it('take one id, several, or a filter, and count their answers', async () => {
    const { store, errand } = scene()
    const ids = await many(errand, 5)
    await claimByHand(store)
    assert.deepEqual(await errand.jobs.cancel(ids[1]!), { cancelled: 1 })
    assert.deepEqual(await errand.jobs.cancel([ids[0]!, ids[1]!, 'nobody']), {
      asked: 1,
      final: 1,
      missing: 1,
    })
    assert.deepEqual(await errand.jobs.cancel({}, { reason: 'all of them' }), {
      cancelled: 3,
      asked: 1,
    })
    assert.equal((await errand.jobs.get(ids[4]!))?.reason, 'all of them')
    assert.deepEqual(await errand.jobs.retry({}), { retried: 4 })
    assert.deepEqual(await errand.jobs.remove({ state: 'ready' }), { removed: 4 })
    assert.deepEqual(await errand.jobs.remove(ids[0]!), { running: 1 })
  })

  it('on a filter touch only states that they fit', async () => {
    const { store, errand } = scene()
    await many(errand, 3)
    await endByHand(store, (await claimByHand(store))[0]!, { output: 1 })
    assert.deepEqual(await errand.jobs.retry({}), {})
    assert.deepEqual(await errand.jobs.retry({ state: 'completed' }), {})
    assert.deepEqual(await errand.jobs.cancel({ state: ['ready', 'completed'] }), { cancelled: 2 })
  })

  it('work in chunks, tell how far they are, and stop on a signal', async () => {
    const { errand } = scene()
    await many(errand, 1_200)
    const controller = new AbortController()
    const seen: number[] = []
    const stopped = errand.jobs.cancel(
      {},
      {
        signal: controller.signal,
        onProgress: (done) => {
          seen.push(done)
          if (done === 1_000) controller.abort()
        },
      },
    )
    await assert.rejects(stopped, { name: 'AbortError' })
    assert.deepEqual(seen, [500, 1_000])
    assert.deepEqual(await errand.jobs.counts(), [
      { queue: 'default', state: 'ready', count: 200 },
      { queue: 'default', state: 'cancelled', count: 1_000 },
    ])
    assert.deepEqual(await errand.jobs.cancel({}), { cancelled: 200 })
  })

  it('refuse a target that is none, since it might fit all jobs', async () => {
    const { errand } = scene()
    for (const target of [
      undefined,
      null,
      5,
      '',
      [''],
      [undefined],
      { task: undefined },
      { tasks: 'a' },
    ]) {
      await assert.rejects(errand.jobs.remove(target as never), { code: 'invalid-option' })
    }
  })

  it('take answers a final job once, and leaves others where they are', async () => {
    const { store, errand } = scene()
    const { id } = await errand.enqueue(work, 1)
    assert.equal(await errand.jobs.take(id), null)
    await endByHand(store, (await claimByHand(store))[0]!, { output: 'out' })
    assert.equal((await errand.jobs.take(id))?.output, 'out')
    assert.equal(await errand.jobs.take(id), null)
  })
})

describe('queues', () => {
  it('are listed with their pauses and counts', async () => {
    const { errand } = scene()
    await many(errand, 2)
    await many(errand, 1, other)
    await errand.queues.pause('aside', 'empty')
    assert.deepEqual(await errand.queues.list(), [
      { name: 'aside', paused: true, counts: { ready: 1 } },
      { name: 'default', paused: false, counts: { ready: 2 } },
      { name: 'empty', paused: true, counts: {} },
    ])
    await errand.queues.resume('aside')
    assert.equal((await errand.queues.list())[0]?.paused, false)
    await assert.rejects(errand.queues.pause(undefined as never), { code: 'invalid-option' })
  })

  it('are purged of what waits, not of what runs or has ended', async () => {
    const { store, errand } = scene()
    await many(errand, 3)
    await errand.enqueue(work, 1, { delay: '1h' })
    await many(errand, 1, other)
    await endByHand(store, (await claimByHand(store))[0]!, { output: 1 })
    assert.deepEqual(await errand.queues.purge('default'), { removed: 4 })
    assert.deepEqual(await errand.queues.list(), [
      { name: 'aside', paused: false, counts: { completed: 1 } },
    ])
  })
})

describe('workers', () => {
  it('are lost when they were not seen for half a minute without having stopped', async () => {
    const { clock, store, errand } = scene()
    const record = {
      host: 'h',
      pid: 1,
      version: '1',
      queues: ['*'],
      slots: 3,
      running: [],
      schedules: null,
      startedAt: clock.now(),
      lastSeenAt: 0,
    }
    await store.tend({ ...record, id: 'a', stopped: false })
    await store.tend({ ...record, id: 'b', stopped: true })
    const states = async (): Promise<object> =>
      Object.fromEntries((await errand.workers.list()).map(({ id, state }) => [id, state]))
    assert.deepEqual(await states(), { a: 'running', b: 'stopped' })
    await clock.advance(30_001)
    assert.deepEqual(await states(), { a: 'lost', b: 'stopped' })
  })
})
