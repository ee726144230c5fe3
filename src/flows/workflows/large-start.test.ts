import assert from 'node:assert/strict'
import test from 'node:test'
import { startPatienceMs } from '../../app/start-gate.ts'
import {
  createErrand,
  task,
  workflow,
  type AnyTask,
  type Errand,
  type Node,
  type OnNeedFailed,
} from '../../index.ts'
import { memory, MemoryDatabase } from '../../stores/memory/index.ts'
import type { NewJob } from '../../store/job.ts'
import type { Store } from '../../store/store.ts'
import { drain } from '../../testing/drain.ts'
import { VirtualClock } from '../../testing/virtual-clock.ts'
import { mostNeeds, partSize } from './parts.ts'

const id = '0198c5d4-0000-7000-8000-0000000f1a11'
let broken = false
const ran: unknown[] = []
const make = task({
  name: 'make',
  retry: 'never',
  run(n: number) {
    if (broken && n === 150) throw new Error('no')
    return { n, twice: n * 2 }
  },
})
const sum = task({
  name: 'sum',
  retry: 'never',
  run(numbers: readonly number[]) {
    ran.push(numbers.length)
    return numbers.reduce((a, b) => a + b, 0)
  },
})
const note = task({ name: 'note', run: (input: unknown) => void ran.push(input) })

const fanIn = workflow({
  name: 'fan-in',
  build(w, { count }: { count: number }) {
    const made = Array.from({ length: count }, (_, n) => w.add(`make ${n}`, make, n))
    return w.output(
      w.add(
        'sum',
        sum,
        made.map(({ output }) => output.twice),
      ).output,
    )
  },
})

interface Place {
  readonly clock: VirtualClock
  readonly errand: Errand
  /** Another client of the same store. */
  readonly another: (change?: (store: Store) => void) => Errand
}

/** With time that passes by itself, unless the test moves it. */
function place(t: { after: (end: () => Promise<void>) => void }, time?: 'moved'): Place {
  broken = false
  ran.length = 0
  const clock = new VirtualClock()
  const database = new MemoryDatabase()
  const tasks: readonly AnyTask[] = [make, sum, note]
  const another = (change: (store: Store) => void = () => undefined): Errand => {
    const store = memory({ database, ...(time === 'moved' && { clock }) })
    change(store)
    const errand = createErrand({ store, tasks })
    t.after(() => errand.close())
    return errand
  }
  return { clock, errand: another(), another }
}

async function inserts(
  errand: Errand,
  start: () => Promise<unknown>,
): Promise<readonly NewJob[][]> {
  const calls: NewJob[][] = []
  const insert = errand.store.insert.bind(errand.store)
  errand.store.insert = (jobs, options) => {
    calls.push([...jobs])
    return insert(jobs, options)
  }
  await start()
  errand.store.insert = insert
  return calls
}

async function left(errand: Errand): Promise<number> {
  const counts = await errand.store.counts()
  return counts.reduce((total, { state, count }) => total + (state === 'discarded' ? 0 : count), 0)
}

test('a small workflow is stored in one step, without gates and parts', async (t) => {
  const { errand } = place(t)
  const [only, ...others] = await inserts(errand, () => errand.start(fanIn, { count: 90 }))
  assert.equal(others.length, 0)
  assert.equal(only?.length, 92)
})

test('a large workflow is stored in steps of bounded size, in which no job needs many', async (t) => {
  const { errand } = place(t)
  const calls = await inserts(errand, () => errand.start(fanIn, { count: 1_500 }))
  const weights = calls.map((jobs) => jobs.reduce((all, { needs }) => all + 1 + needs.length, 0))
  assert.ok(Math.max(...weights) <= 410, `a step holds ${Math.max(...weights)} jobs and needs`)
  assert.ok(calls.flat().every(({ needs }) => needs.length <= partSize))
})

test('nodes wait for a gate, but for those of the last step, and are stored with their parts', async (t) => {
  const { errand } = place(t)
  const calls = await inserts(errand, () => errand.start(fanIn, { count: 1_500 }))
  const free = calls.map((jobs) => jobs.filter(({ needs }) => needs.length === 0).length)
  // The first gate comes with the first step, and is made due by the last.
  assert.deepEqual([...new Set(free.slice(1, -1))], [0])
  assert.equal(free[0], 1)
  assert.ok((free.at(-1) ?? 0) > 100, `${free.at(-1)} jobs of the last step wait for nothing`)
  const calledIn = new Map(calls.flatMap((jobs, n) => jobs.map(({ id }) => [id, n] as const)))
  for (const [n, jobs] of calls.entries())
    for (const { needs } of jobs.filter(({ task }) => task === 'errand.part'))
      assert.ok(needs.every(({ id }) => n - (calledIn.get(id) ?? NaN) <= 1))
})

test('outputs come through parts in their order, and nobody sees gates and parts', async (t) => {
  const { errand } = place(t)
  await errand.worker().start()
  const count = mostNeeds + 50
  const run = await errand.start(fanIn, { count })
  assert.equal(await run.result(), count * (count - 1))
  assert.deepEqual((await run.status())?.counts, { completed: count + 1 })
  const nodes = await errand.workflows.nodes(run.id)
  assert.equal(nodes.length, count + 2)
  const total = nodes.find(({ name }) => name === 'sum')
  assert.deepEqual(
    total?.needs.map((need) => need.id),
    nodes.slice(0, count).map((node) => node.id),
  )
})

test('a failure in a part fails the run, is named, and is run again by a retry', async (t) => {
  const { errand } = place(t)
  await errand.worker().start()
  broken = true
  const run = await errand.start(fanIn, { count: 300 })
  await assert.rejects(run.result(), {
    code: 'job-failed',
    message:
      /in 2 of its 4 parts: 1 of 100 nodes of fan-in .* make 150 \(failed\)\..* sum \(cancelled\)/,
  })
  assert.deepEqual(ran, [])
  broken = false
  assert.ok((await run.retry()) > 2)
  assert.equal(await run.result(), 300 * 299)
})

test('a large run that was cancelled can be retried', async (t) => {
  const { errand } = place(t)
  const run = await errand.start(fanIn, { count: 300 })
  assert.ok((await run.cancel()) > 300)
  assert.equal((await run.status())?.state, 'cancelled')
  await run.retry()
  await drain(errand)
  assert.equal(await run.result(), 300 * 299)
  assert.deepEqual(ran, [300])
})

test('needs beyond the most mean what they say when one fails', async (t) => {
  const { errand } = place(t)
  await errand.worker().start()
  broken = true
  const flow = workflow({
    name: 'policies',
    build(w) {
      const made: Node[] = []
      for (let n = 0; n < 250; n += 1) made.push(w.add(`make ${n}`, make, n))
      for (const onNeedFailed of ['cancel', 'run', 'fail'] as OnNeedFailed[])
        w.add(onNeedFailed, note, onNeedFailed, { needs: made, onNeedFailed })
    },
  })
  const run = await errand.start(flow)
  await assert.rejects(run.result())
  const nodes = await errand.workflows.nodes(run.id)
  const state = (node: string): string | undefined => nodes.find(({ name }) => name === node)?.state
  assert.deepEqual(['cancel', 'run', 'fail'].map(state), ['cancelled', 'completed', 'failed'])
  assert.deepEqual(ran, ['run'])
})

/** A client that dies once it has made so many calls: whatever it asks for after that is not carried out. */
function dyingAfter(calls: number): (store: Store) => void {
  return (store) => {
    let made = 0
    for (const name of ['insert', 'getRecords', 'putRecords', 'get', 'list', 'remove'] as const) {
      const call = store[name].bind(store) as (...args: unknown[]) => Promise<unknown>
      const dies = (...args: unknown[]): Promise<unknown> => {
        made += 1
        return made > calls ? Promise.reject(new Error('dead')) : call(...args)
      }
      Object.assign(store, { [name]: dies })
    }
  }
}

test('a start that dies is taken back by whoever works, and can be made anew', async (t) => {
  const { errand, another, clock } = place(t, 'moved')
  // Its look at the id, its record, and two steps.
  const dead = another(dyingAfter(4))
  await assert.rejects(dead.start(fanIn, { count: 300 }, { id }), /dead/)
  await clock.advance(startPatienceMs - 1)
  await drain(errand)
  assert.ok((await left(errand)) > 100)
  await drain(errand, { until: 'empty' })
  assert.equal(await left(errand), 0)
  assert.equal(await errand.workflows.get(id), null)
  await errand.start(fanIn, { count: 300 }, { id })
  await drain(errand)
  assert.equal(await errand.jobs.result(id), 300 * 299)
})

test('a repeat under the same id goes on where the first start stopped', async (t) => {
  const { errand, another, clock } = place(t, 'moved')
  const dead = another(dyingAfter(4))
  await assert.rejects(dead.start(fanIn, { count: 300 }, { id }), /dead/)
  const before = await left(errand)
  const calls = await inserts(errand, () => errand.start(fanIn, { count: 300 }, { id }))
  // One of them takes the place of the first gate.
  assert.equal(before + calls.flat().length - 1, await left(errand))
  const again = calls.flat().filter(({ task: name }) => name === 'make')
  assert.ok(again.length < 250, `${again.length} nodes were sent again`)
  await drain(errand)
  assert.equal(await errand.jobs.result(id), 300 * 299)
  await clock.advance(2 * startPatienceMs)
  await drain(errand)
  assert.equal((await errand.workflows.get(id))?.state, 'completed')
})

test('a repeat with other nodes is refused, and leaves the first start alone', async (t) => {
  const { errand, another } = place(t)
  const dead = another(dyingAfter(4))
  await assert.rejects(dead.start(fanIn, { count: 300 }, { id }), /dead/)
  const before = await left(errand)
  const other = workflow({
    name: 'other',
    build(w) {
      for (let n = 0; n < 500; n += 1) w.add(`other ${n}`, make, n)
    },
  })
  await assert.rejects(errand.start(other, undefined, { id }), {
    code: 'invalid-option',
    message: /has other jobs: take another id/,
  })
  assert.equal(await left(errand), before)
})

test('two starts of one id at once store it once', async (t) => {
  const { errand, another } = place(t)
  const starts = [errand, another(), another()].map((one) =>
    one.start(fanIn, { count: 400 }, { id }),
  )
  await Promise.all(starts)
  await errand.worker().start()
  assert.equal(await errand.jobs.result(id), 400 * 399)
  assert.equal((await errand.workflows.nodes(id)).length, 402)
})

test('a start that waits for its entries is not taken back while it lives, and is once it stalls', async (t) => {
  const { errand, another, clock } = place(t, 'moved')
  const asked = Promise.withResolvers<void>()
  const more = Promise.withResolvers<void>()
  async function* slowly(): AsyncGenerator<readonly [typeof make, number]> {
    for (let n = 0; n < 400; n += 1) {
      if (n === 350) {
        asked.resolve()
        await more.promise
      }
      yield [make, n]
    }
  }
  const starting = errand.batch(slowly(), { id })
  await asked.promise
  for (let minutes = 0; minutes < 20; minutes += 1) await clock.advance(60_000)
  await drain(errand)
  more.resolve()
  const run = await starting
  await drain(errand)
  assert.equal((await run.result()).completed, 400)

  // One whose beats do not reach the store for long enough is told so.
  const stalled = Promise.withResolvers<void>()
  const goesOn = Promise.withResolvers<void>()
  let isCutOff = false
  const cutOff = another((store) => {
    const insert = store.insert.bind(store)
    store.insert = (...call) => (isCutOff ? Promise.reject(new Error('away')) : insert(...call))
  })
  async function* stalling(): AsyncGenerator<readonly [typeof make, number]> {
    for (let n = 0; n < 800; n += 1) {
      if (n === 500) {
        stalled.resolve()
        await goesOn.promise
      }
      yield [make, n]
    }
  }
  const warnings: string[] = []
  cutOff.on('warning', ({ code }) => void warnings.push(code))
  const late = cutOff.batch(stalling())
  await stalled.promise
  isCutOff = true
  await clock.advance(2 * startPatienceMs)
  await drain(errand)
  isCutOff = false
  goesOn.resolve()
  await assert.rejects(late, { code: 'interrupted', message: /start it anew/ })
  assert.ok(warnings.includes('run-start'))
})
