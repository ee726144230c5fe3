/** Workflows that schedules start, on memory with time moved by hand. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import {
  createErrand,
  schedule,
  task,
  workflow,
  type Errand,
  type Schedule,
} from '../../src/index.ts'
import { memory, MemoryDatabase } from '../../src/stores/memory/index.ts'
import { VirtualClock } from '../../src/testing/virtual-clock.ts'

const minute = 60_000

interface Bench {
  readonly clock: VirtualClock
  readonly first: Errand
  readonly ran: string[]
  /** Lets the nodes that wait for it go on. */
  readonly open: () => void
}

/** Two processes that declare one schedule. */
async function working(t: TestContext, make: (flows: Flows) => Schedule): Promise<Bench> {
  const clock = new VirtualClock()
  const database = new MemoryDatabase()
  const ran: string[] = []
  const { promise: gate, resolve: open } = Promise.withResolvers<void>()
  const flows = flowsOf(ran, gate)
  const errands = [1, 2].map(() => {
    const { tasks } = flows
    return createErrand({ store: memory({ clock, database }), tasks, schedules: [make(flows)] })
  })
  const passing = async (work: Promise<unknown>): Promise<void> => {
    const done = work.then(() => true)
    while (!(await Promise.race([done, clock.advance(5)])));
  }
  t.after(() => {
    open()
    return passing(Promise.all(errands.map((errand) => errand.close())))
  })
  for (const errand of errands) await passing(errand.worker().start())
  return { clock, first: errands[0] as Errand, ran, open }
}

type Flows = ReturnType<typeof flowsOf>

function flowsOf(ran: string[], gate: Promise<void>) {
  const count = task({
    name: 'count',
    run({ by }: { by: number }, job) {
      ran.push(`${job.schedule} ${job.plannedAt?.getTime()}`)
      return { n: by + 1 }
    },
  })
  const grow = task({
    name: 'grow',
    async run({ n }: { n: number }, job) {
      await job.workflow.add('more', count, { by: n }, { before: ['last'] })
      return n
    },
  })
  const slow = task({ name: 'slow', run: () => gate })
  const growing = workflow({
    name: 'growing',
    build(w, { from }: { from: number }) {
      const counted = w.add('count', count, { by: from })
      const grown = w.add('grow', grow, { n: counted.output.n })
      const last = w.add('last', count, { by: 10 }, { needs: [grown] })
      return w.output({ grown: grown.output, last: last.output.n })
    },
  })
  const waiting = workflow({
    name: 'waiting',
    build(w) {
      w.add('last', count, { by: 0 }, { needs: [w.add('slow', slow)] })
    },
  })
  return { tasks: [count, grow, slow], growing, waiting }
}

test('each tick starts one run of a workflow, whoever fires it, and its nodes find each other', async (t) => {
  const { clock, first, ran } = await working(t, ({ growing }) =>
    schedule({
      name: 'nightly',
      workflow: growing,
      input: { from: 1 },
      every: '1m',
      tags: ['night'],
    }),
  )
  const from = Math.floor(clock.now() / minute) * minute
  await clock.advance(3 * minute + 5_000)
  const { runs } = await first.workflows.list()
  assert.deepEqual(
    runs.map(({ workflow: name, state }) => `${name} ${state}`),
    ['growing completed', 'growing completed', 'growing completed'],
  )
  const ticks = (await first.schedules.get('nightly')).last
  assert.deepEqual(
    ticks.map(({ job }) => job),
    runs.map(({ id }) => id).toReversed(),
  )
  for (const { id } of runs) {
    assert.deepEqual(await first.workflows.result(id), { grown: 2, last: 11 })
    const nodes = await first.workflows.nodes(id)
    assert.deepEqual(
      nodes.map(({ name }) => name),
      ['count', 'grow', 'last', '', 'grow+more'],
    )
    assert.deepEqual((await first.jobs.get(id))?.tags, ['night'])
  }
  const planned = [1, 2, 3].map((n) => `nightly ${from + n * minute}`)
  assert.deepEqual([...new Set(ran.filter((one) => !one.startsWith('null')))], planned)
})

test('a run that has not ended keeps the next one out, or lets it wait', async (t) => {
  const states = async (
    overlap: 'allow' | 'skip' | 'queue' | 'queue-one',
  ): Promise<readonly (readonly string[])[]> => {
    const { clock, first, open } = await working(t, ({ waiting }) =>
      schedule({ name: 'often', workflow: waiting, every: '5s', overlap }),
    )
    await clock.advance(5_000 - (clock.now() % 5_000) + 12_000)
    const shown = async (): Promise<readonly string[]> => {
      const { runs } = await first.workflows.list()
      const all = await Promise.all(runs.map(({ id }) => first.workflows.nodes(id)))
      return all.map((nodes) => nodes.map(({ state }) => state).join(' ')).toReversed()
    }
    const before = await shown()
    open()
    await clock.advance(2_000)
    return [before, await shown()]
  }
  const begun = 'running blocked blocked'
  const waits = 'blocked blocked blocked'
  const done = 'completed completed completed'
  assert.deepEqual(await states('allow'), [
    [begun, begun, begun],
    [done, done, done],
  ])
  assert.deepEqual(await states('skip'), [[begun], [done]])
  assert.deepEqual(await states('queue'), [
    [begun, waits, waits],
    [done, done, done],
  ])
  assert.deepEqual(await states('queue-one'), [
    [begun, waits],
    [done, done],
  ])
})

test('a run makes room for the next one with all of its nodes', async (t) => {
  const { clock, first, open } = await working(t, ({ waiting }) =>
    schedule({ name: 'often', workflow: waiting, every: '1m', overlap: 'cancel' }),
  )
  await clock.advance(minute - (clock.now() % minute) + minute + 5_000)
  const { runs } = await first.workflows.list()
  assert.equal(runs.length, 2)
  assert.equal(runs[1]?.state, 'cancelled')
  assert.equal(runs[0]?.state, 'blocked')
  open()
  await clock.advance(2_000)
  assert.equal((await first.workflows.get(runs[0].id))?.state, 'completed')
  assert.equal((await first.workflows.get(runs[1].id))?.counts.cancelled, 1)
})

test('a trigger starts a run beside the ticks, or names the one in its way', async (t) => {
  const { clock, first, open } = await working(t, ({ waiting }) =>
    schedule({ name: 'rarely', workflow: waiting, cron: '0 0 1 1 *', overlap: 'skip' }),
  )
  const id = await first.schedules.trigger('rarely')
  assert.equal(await first.schedules.trigger('rarely'), id)
  open()
  await clock.advance(5_000)
  assert.equal((await first.workflows.get(id))?.state, 'completed')
  assert.notEqual(await first.schedules.trigger('rarely'), id)
})

test('a schedule of a workflow refuses what it cannot do', () => {
  const { growing, tasks } = flowsOf([], Promise.resolve())
  const wrong = (options: object): unknown => schedule(options as Parameters<typeof schedule>[0])
  assert.throws(
    () => wrong({ name: 'n', workflow: growing, task: tasks[0], every: '1m' }),
    /one of task, workflow and run/,
  )
  assert.throws(() => wrong({ name: 'n', workflow: {}, every: '1m' }), /must come from workflow/)
  assert.throws(() => wrong({ name: 'n', workflow: growing, every: '1m', priority: 1 }), /priority/)
})
