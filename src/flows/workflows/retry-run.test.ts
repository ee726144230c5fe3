import assert from 'node:assert/strict'
import test from 'node:test'
import { createErrand, task, workflow, type Errand } from '../../index.ts'
import { memory, MemoryDatabase } from '../../stores/memory/index.ts'

/** More than two calls of a retry take. */
const many = 1_100
/** Hidden jobs that wait for a hundred nodes each. */
const parts = 12

let isBroken = true
let ran = 0
const root = task({
  name: 'root',
  retry: 'never',
  run() {
    if (isBroken) throw new Error('not yet')
  },
})
const leaf = task({ name: 'leaf', run: () => void (ran += 1) })
const wide = workflow({
  name: 'wide',
  build(w) {
    const needed = w.add('root', root)
    for (let n = 0; n < many; n += 1) w.add(`leaf ${n}`, leaf, undefined, { needs: [needed] })
  },
})

/** A client whose store does this for each call of `retry`, the first with 1. */
function clientOf(
  database: MemoryDatabase,
  retry: (n: number, call: () => Promise<unknown>, ids: readonly string[]) => Promise<unknown>,
): Errand {
  let calls = 0
  const store = new Proxy(memory({ database }), {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target)
      if (typeof value !== 'function') return value
      const method = value as (...args: unknown[]) => Promise<unknown>
      if (name !== 'retry') return method.bind(target)
      return (ids: readonly string[]) => retry((calls += 1), () => method.call(target, ids), ids)
    },
  })
  return createErrand({ store, tasks: [root, leaf], workflows: [wide] })
}

/** Resolves when nothing is left to do. */
async function quiet({ store }: Errand): Promise<void> {
  const isOpen = async (): Promise<boolean> =>
    (await store.counts()).some(
      ({ state, count }) =>
        count > 0 && ['blocked', 'scheduled', 'ready', 'running'].includes(state),
    )
  while (await isOpen()) await new Promise((resolve) => setImmediate(resolve))
}

async function failedRun(t: { after: (end: () => Promise<void>) => void }): Promise<{
  readonly errand: Errand
  readonly database: MemoryDatabase
  readonly id: string
}> {
  isBroken = true
  ran = 0
  const database = new MemoryDatabase()
  const errand = createErrand({ store: memory({ database }), tasks: [root, leaf], slots: 100 })
  t.after(() => errand.close())
  await errand.worker().start()
  const run = await errand.start(wide)
  await assert.rejects(run.result(), { code: 'job-failed' })
  return { errand, database, id: run.id }
}

test('a process that dies between two calls of a retry leaves a run that has ended, and a repeat finishes it', async (t) => {
  const { errand, database, id } = await failedRun(t)
  isBroken = false
  const dying = clientOf(database, (n, call) =>
    n === 1 ? call() : Promise.reject(new Error('died')),
  )
  t.after(() => dying.close())
  await assert.rejects(dying.workflows.retry(id), /died/)
  await quiet(errand)
  const status = await errand.workflows.get(id)
  assert.equal(status?.state, 'failed')
  assert.deepEqual(status.counts, { completed: 500, cancelled: many + 1 - 500 })
  assert.equal(await errand.workflows.retry(id), many + parts + 2 - 500)
  await errand.workflows.result(id)
  assert.deepEqual((await errand.workflows.get(id))?.counts, { completed: many + 1 })
  assert.equal(ran, many)
})

test('what needs a node that fails once more between two calls of a retry does not run', async (t) => {
  const { errand, database, id } = await failedRun(t)
  const slow = clientOf(database, async (n, call) => {
    const answers = await call()
    if (n === 1) await quiet(errand)
    return answers
  })
  t.after(() => slow.close())
  assert.equal(await slow.workflows.retry(id), 501 + parts)
  await quiet(errand)
  assert.equal(ran, 0)
  assert.deepEqual((await errand.workflows.get(id))?.counts, { failed: 1, cancelled: many })
  isBroken = false
  await errand.workflows.retry(id)
  await errand.workflows.result(id)
  assert.equal(ran, many)
})

test('a retry comes to the end of a workflow within another after what its nodes added', async (t) => {
  isBroken = true
  const database = new MemoryDatabase()
  const grows = task({
    name: 'grows',
    run: (_: undefined, job) => job.workflow.add('more', root).then(() => null),
  })
  const inner = workflow({ name: 'inner', build: (w) => void w.add('grows', grows) })
  const outer = workflow({ name: 'outer', build: (w) => void w.add('inner', inner) })
  const errand = createErrand({ store: memory({ database }), tasks: [root, grows] })
  t.after(() => errand.close())
  await errand.worker().start()
  const run = await errand.start(outer)
  await assert.rejects(run.result(), { code: 'job-failed' })
  let order: readonly string[] = []
  const watching = clientOf(database, (_, call, ids) => {
    order = ids
    return call()
  })
  t.after(() => watching.close())
  const names = new Map((await errand.workflows.nodes(run.id)).map(({ id, name }) => [id, name]))
  isBroken = false
  await watching.workflows.retry(run.id)
  assert.deepEqual(
    order.map((id) => names.get(id)),
    ['inner/grows+more', 'inner', ''],
  )
  await errand.workflows.result(run.id)
})
