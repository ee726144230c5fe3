import assert from 'node:assert/strict'
import test from 'node:test'
import { createErrand, task, workflow, type Errand } from '../../index.ts'
import { memory } from '../../stores/memory/index.ts'

const ran: unknown[] = []
const double = task({
  name: 'double',
  run({ n }: { n: number }) {
    ran.push(n)
    return { n: n * 2 }
  },
})
const total = task({
  name: 'total',
  run({ parts }: { parts: readonly number[] }) {
    const sum = parts.reduce((a, b) => a + b, 0)
    ran.push(`total ${sum}`)
    return sum
  },
})
const report = task({ name: 'report', run: () => void ran.push('report') })
const split = task({
  name: 'split',
  async run({ upTo }: { upTo: number }, job) {
    const parts = []
    for (let n = 1; n <= upTo; n += 1)
      parts.push(await job.workflow.add(`part ${n}`, double, { n }))
    const input = { parts: parts.map(({ output }) => output.n) }
    await job.workflow.add('total', total, input, { before: ['report'] })
  },
})
const grows = workflow({
  name: 'grows',
  build(w, { upTo }: { upTo: number }) {
    w.add('report', report, undefined, { needs: [w.add('split', split, { upTo })] })
  },
})
const flaky = task({
  name: 'flaky',
  retry: 'never',
  async run(_: undefined, job) {
    await job.workflow.add('never', double, { n: 0 })
    throw new Error('no')
  },
})

async function running(t: { after: (end: () => Promise<void>) => void }): Promise<Errand> {
  ran.length = 0
  const errand = createErrand({ store: memory(), tasks: [double, total, report, split, flaky] })
  t.after(() => errand.close())
  await errand.worker().start()
  return errand
}

test('nodes that a node adds run before the workflow ends, and before what they hold back', async (t) => {
  const errand = await running(t)
  const run = await errand.start(grows, { upTo: 3 })
  await run.result()
  assert.deepEqual(ran.slice(-2), ['total 12', 'report'])
  assert.deepEqual((await run.status())?.counts, { completed: 6 })
})

test('nodes that a node adds for nobody run before the workflow ends as well', async (t) => {
  const errand = await running(t)
  const { promise: mayEnd, resolve: end } = Promise.withResolvers<void>()
  const slow = task({ name: 'slow', run: () => mayEnd })
  const adds = task({ name: 'adds', run: (_: undefined, job) => job.workflow.add('slow', slow) })
  const other = createErrand({ store: memory(), tasks: [slow, adds] })
  t.after(() => other.close())
  await other.worker().start()
  const flow = workflow({ name: 'alone', build: (w) => void w.add('adds', adds) })
  const run = await other.start(flow)
  await other.jobs.result((await other.workflows.nodes(run.id))[0]?.id ?? '')
  assert.equal((await run.status())?.state, 'blocked')
  end()
  assert.equal(await run.result(), null)
  assert.ok(errand)
})

test('what needs a workflow waits for what was added in it', async (t) => {
  const errand = await running(t)
  const outer = workflow({
    name: 'outer',
    build(w) {
      const inner = w.add('inner', grows, { upTo: 2 })
      w.add('last', double, { n: 100 }, { needs: [inner] })
    },
  })
  await (await errand.start(outer)).result()
  assert.equal(ran.at(-1), 100)
  assert.equal(ran.length, 5)
})

test('an attempt that fails adds nothing, and a job of no workflow is told so', async (t) => {
  const errand = await running(t)
  const run = await errand.start(workflow({ name: 'f', build: (w) => void w.add('f', flaky) }))
  await assert.rejects(run.result(), { code: 'job-failed' })
  assert.deepEqual(ran, [])
  const alone = await errand.enqueue(split, { upTo: 1 }, { retry: 'never' })
  await assert.rejects(alone.result(), { message: /is no node of a workflow/ })
})

test('an added node that fails, fails the workflow', async (t) => {
  const errand = await running(t)
  const bad = task({ name: 'bad', retry: 'never', run: () => Promise.reject(new Error('no')) })
  const adds = task({ name: 'adds', run: (_: undefined, job) => job.workflow.add('bad', bad) })
  const other = createErrand({ store: memory(), tasks: [bad, adds] })
  t.after(() => other.close())
  await other.worker().start()
  const run = await other.start(workflow({ name: 'f', build: (w) => void w.add('adds', adds) }))
  await assert.rejects(run.result(), { message: /1 of 2 nodes of f did not complete: an added/ })
  assert.ok(errand)
})
