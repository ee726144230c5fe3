import assert from 'node:assert/strict'
import test from 'node:test'
import { z } from 'zod'
import {
  createErrand,
  task,
  workflow,
  type AnyTask,
  type AnyWorkflow,
  type Errand,
} from '../../index.ts'
import { memory } from '../../stores/memory/index.ts'

const numbers = task({
  name: 'numbers',
  run: ({ upTo }: { upTo: number }) => ({
    list: Array.from({ length: upTo }, (_, n) => n + 1),
    upTo,
  }),
})
const sum = task({
  name: 'sum',
  input: z.object({ list: z.array(z.number()), times: z.number().default(1) }),
  run: ({ list, times }) => list.reduce((a, b) => a + b, 0) * times,
})
const fails = task({ name: 'fails', retry: 'never', run: (): { x: number } => raise() })
const seen: unknown[] = []
const note = task({ name: 'note', run: (input: unknown) => void seen.push(input) })

function raise(): never {
  throw new Error('no')
}

async function running(
  t: { after: (end: () => Promise<void>) => void },
  tasks: readonly AnyTask[] = [numbers, sum, fails, note],
  workflows: readonly AnyWorkflow[] = [],
): Promise<Errand> {
  seen.length = 0
  const errand = createErrand({ store: memory(), tasks, workflows })
  t.after(() => errand.close())
  await errand.worker().start()
  return errand
}

const total = workflow({
  name: 'total',
  build(w, { upTo }: { upTo: number }) {
    const made = w.add('numbers', numbers, { upTo })
    const added = w.add('sum', sum, { list: made.output.list, times: made.output.upTo })
    return w.output({ total: added.output, of: made.output.upTo })
  },
})

test('a node gets the outputs that its input refers to, and the workflow comes to its own', async (t) => {
  const errand = await running(t)
  const run = await errand.start(total, { upTo: 4 })
  const result: { total: number; of: number } = await run.result()
  assert.deepEqual(result, { total: 40, of: 4 })
  const status = await run.status()
  assert.deepEqual(
    [status?.workflow, status?.state, status?.counts],
    ['total', 'completed', { completed: 2 }],
  )
})

test('a node starts after all that it needs, and a workflow within one is a node', async (t) => {
  const errand = await running(t)
  const outer = workflow({
    name: 'outer',
    build(w) {
      const first = w.add('first', note, 'first')
      const inner = w.add('inner', total, { upTo: 2 }, { needs: [first] })
      w.add('last', note, { total: inner.output.total })
      return w.output(inner.output.total)
    },
  })
  const run = await errand.start(outer)
  assert.equal(await run.result(), 6)
  assert.deepEqual(seen, ['first', { total: 6 }])
  const nodes = await errand.workflows.nodes(run.id)
  assert.deepEqual(
    nodes.map(({ name }) => name),
    ['first', 'inner/numbers', 'inner/sum', 'inner', 'last', ''],
  )
  const [first] = nodes
  assert.deepEqual(nodes[1]?.needs, [{ id: first?.id, onFailed: 'cancel' }])
})

test('what a failed node means is said by those that need it, each for itself', async (t) => {
  const errand = await running(t)
  const flow = workflow({
    name: 'mixed',
    build(w) {
      const bad = w.add('bad', fails)
      const good = w.add('good', note, 'good')
      w.add('cancelled', note, 'cancelled', { needs: [bad, good] })
      w.add('failed', note, 'failed', { needs: [bad], onNeedFailed: 'fail' })
      w.add('ran', note, 'ran', { needs: [{ node: bad, onFailed: 'run' }] })
    },
  })
  const run = await errand.start(flow)
  await assert.rejects(run.result(), {
    code: 'job-failed',
    message:
      /3 of 5 nodes of mixed did not complete: bad \(failed\), failed \(failed\), cancelled \(cancelled\)/,
  })
  assert.deepEqual(new Set(seen), new Set(['good', 'ran']))
})

test('a failure that all nodes after it let pass fails no workflow', async (t) => {
  const errand = await running(t)
  const flow = workflow({
    name: 'tolerant',
    build(w) {
      w.add('after', note, 'after', { needs: [w.add('bad', fails)], onNeedFailed: 'run' })
    },
  })
  assert.equal(await (await errand.start(flow)).result(), null)
  assert.deepEqual(seen, ['after'])
})

test('a reference to a field that is not there fails its node as invalid input, with one clear line', async (t) => {
  const errand = await running(t)
  const loose = task({ name: 'loose', run: () => ({ a: {} }) as { a: { b: { c: number } } } })
  const flow = workflow({
    name: 'absent',
    build(w) {
      const made = w.add('made', loose)
      w.add('used', note, { c: made.output.a.b.c })
    },
  })
  const other = await running(t, [loose, note])
  const run = await other.start(flow)
  await assert.rejects(run.result())
  const used = (await other.workflows.nodes(run.id)).find(({ name }) => name === 'used')
  const job = await other.jobs.get(used?.id ?? '')
  assert.equal(job?.reason, 'invalid-input')
  assert.match(job?.errors[0]?.message ?? '', /made has no output\.a\.b\.c: its output\.a has no b/)
  assert.ok(errand)
})

test('the input of a node is checked by its schema once its references are resolved', async (t) => {
  const errand = await running(t)
  const wrong = task({ name: 'wrong', run: () => ({ list: ['a'] as unknown as number[] }) })
  const other = await running(t, [wrong, sum])
  const flow = workflow({
    name: 'unfit',
    build: (w) => void w.add('sum', sum, { list: w.add('wrong', wrong).output.list }),
  })
  const run = await other.start(flow)
  await assert.rejects(run.result(), { code: 'job-failed' })
  const [, node] = await other.workflows.nodes(run.id)
  assert.equal(node?.reason, 'invalid-input')
  assert.ok(errand)
})

test('what a user sends is never taken for a reference', async (t) => {
  const errand = await running(t)
  const sent = { '$errand:ref': ['x'], '$$errand:ref': 1, plain: [{ '$errand:other': null }] }
  const flow = workflow({
    name: 'alike',
    build(w) {
      const made = w.add('numbers', numbers, { upTo: 1 })
      w.add('alone', note, sent)
      w.add('beside', note, { sent, upTo: made.output.upTo }, { needs: [made] })
    },
  })
  await (await errand.start(flow)).result()
  assert.deepEqual(
    seen.toSorted((a, b) => Object.keys(a as object).length - Object.keys(b as object).length),
    [{ sent, upTo: 1 }, sent],
  )
})

test('mistakes are refused in one line before anything is stored', async (t) => {
  const errand = await running(t)
  const once = task({ name: 'once', unique: true, run: (input: unknown) => input })
  const cases: readonly [RegExp, Parameters<typeof workflow>[0]['build']][] = [
    [
      /node "a" of wrong stands there twice/,
      (w) => {
        w.add('a', note)
        w.add('a', note)
      },
    ],
    [/has a \/ in its name/, (w) => void w.add('a/b', note)],
    [/node a: once is unique/, (w) => void w.add('a', once, 1)],
    [/node a: .*list/s, (w) => void w.add('a', sum, { list: 'x' } as never)],
    [/needs a task or a workflow/, (w) => void w.add('a', {} as never)],
    [/onNeedFailed must be/, (w) => void w.add('a', note, 1, { onNeedFailed: 'stop' as never })],
    [/No task is called nope/, (w) => void w.add('a', 'nope' as never)],
    [
      /has no option need\. Did you mean needs\?|has no option need/,
      (w) => void w.add('a', note, 1, { need: [] } as never),
    ],
    [
      /at most 10000 nodes/,
      (w) => {
        for (let n = 0; n <= 10_000; n += 1) w.add(`n${n}`, note)
      },
    ],
  ]
  for (const [message, build] of cases)
    await assert.rejects(errand.start(workflow({ name: 'wrong', build })), { message })
  let foreign: { output: unknown } | null = null
  await errand.start(
    workflow({
      name: 'one',
      build: (w) => {
        foreign = w.add('a', note, 1)
      },
    }),
  )
  const two = workflow({ name: 'two', build: (w) => void w.add('b', note, { x: foreign?.output }) })
  await assert.rejects(errand.start(two), { message: /needs a node that is not of this run/ })
  assert.equal((await errand.jobs.list({ task: 'sum' })).jobs.length, 0)
})

test('a repeated start of one id adds nothing', async (t) => {
  const errand = await running(t)
  const id = '0198c5d4-0000-7000-8000-000000000001'
  const one = await errand.start(total, { upTo: 2 }, { id })
  const two = await errand.start(total, { upTo: 3 }, { id })
  assert.deepEqual(
    [await one.result(), await two.result()],
    [
      { total: 6, of: 2 },
      { total: 6, of: 2 },
    ],
  )
  assert.equal((await errand.jobs.list()).jobs.length, 3)
})

test('a retry runs what failed, then what was cancelled for it, with the new outputs', async (t) => {
  let broken = true
  const flaky = task({ name: 'flaky', retry: 'never', run: () => (broken ? raise() : { n: 7 }) })
  const errand = await running(t, [flaky, note])
  const flow = workflow({
    name: 'flaky flow',
    build(w) {
      const got = w.add('got', flaky)
      w.add('told', note, { n: got.output.n })
      return w.output(got.output.n)
    },
  })
  const run = await errand.start(flow)
  await assert.rejects(run.result(), { code: 'job-failed' })
  broken = false
  assert.equal(await run.retry(), 3)
  assert.equal(await run.result(), 7)
  assert.deepEqual(seen, [{ n: 7 }])
})

test('a cancelled run starts nothing more, and is cancelled', async (t) => {
  const { promise: mayEnd, resolve: end } = Promise.withResolvers<void>()
  const slow = task({ name: 'slow', run: () => mayEnd })
  const errand = await running(t, [slow, note])
  const flow = workflow({
    name: 'long',
    build: (w) => void w.add('then', note, 1, { needs: [w.add('slow', slow)] }),
  })
  const run = await errand.start(flow)
  assert.ok((await run.cancel('enough')) >= 2)
  end()
  await assert.rejects(run.result(), { code: 'job-cancelled' })
  assert.deepEqual(seen, [])
})

test('workflows of the app are started by name, and a wrong name is told the nearest', async (t) => {
  const errand = await running(t, [numbers, sum], [total])
  assert.deepEqual(errand.workflows.names, ['total'])
  const run = await errand.start(errand.workflows.find('total'), { upTo: 1 })
  assert.deepEqual(await run.result(), { total: 1, of: 1 })
  assert.throws(() => errand.workflows.find('totl'), { message: /Did you mean total\?/ })
  const { runs } = await errand.workflows.list()
  assert.deepEqual(
    runs.map(({ id, workflow: name }) => [id, name]),
    [[run.id, 'total']],
  )
})
