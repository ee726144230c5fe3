import assert from 'node:assert/strict'
import test from 'node:test'
import { createErrand, task, workflow, type Errand } from '../../index.ts'
import { memory, MemoryDatabase } from '../../stores/memory/index.ts'
import { claimOf, finish } from '../../testing/conformance/jobs.ts'
import { VirtualClock } from '../../testing/virtual-clock.ts'
import type { ClaimedJob } from '../../store/job.ts'
import type { Store } from '../../store/store.ts'
import { checkBlocked } from './blocked.ts'

const slow = task({ name: 'slow', run: () => undefined })
const last = task({ name: 'last', run: () => undefined })
const flow = workflow({
  name: 'flow',
  build(w) {
    w.add('last', last, undefined, { needs: [w.add('slow', slow)] })
  },
})

/** Whether a check finds all well; time goes on until it knows. */
async function isWell(errand: Errand, clock: VirtualClock): Promise<boolean> {
  const checking = Promise.resolve(checkBlocked(errand))
  const isOver = checking.then(() => true)
  while (!(await Promise.race([isOver, clock.advance(100)])));
  return (await checking).every(({ status }) => status === 'ok')
}

async function claimed({ store }: Errand): Promise<ClaimedJob> {
  const [job] = (await store.claim(claimOf({ queues: [{ name: 'default', limit: 1 }] }))).jobs
  assert.ok(job)
  return job
}

test('a blocked job that waits for one that has not ended is well, and one that nobody would release is found', async (t) => {
  const clock = new VirtualClock()
  const database = new MemoryDatabase()
  const errand = createErrand({ store: memory({ clock, database }), tasks: [slow, last] })
  t.after(() => errand.close())
  await errand.start(flow)
  assert.ok(await isWell(errand, clock))
  const job = await claimed(errand)
  assert.ok(await isWell(errand, clock))
  // The store forgets who waits for whom.
  database.dependants.clear()
  await errand.store.settle([finish(job)])
  assert.equal(await isWell(errand, clock), false)
  const [found] = await errand.jobs.list({ task: 'last', limit: 1 }).then(({ jobs }) => jobs)
  assert.ok(found)
  await errand.jobs.cancel(found.id)
  await errand.store.cancel([found.group ?? ''], null)
  assert.ok(await isWell(errand, clock))
})

test('a job that waits for what others added is well, although all that it needed itself has ended', async (t) => {
  const { promise: mayEnd, resolve: end } = Promise.withResolvers<void>()
  const waits = task({ name: 'waits', run: () => mayEnd })
  const grows = task({
    name: 'grows',
    run: (_: undefined, job) => job.workflow.add('more', waits).then(() => null),
  })
  const errand = createErrand({ store: memory(), tasks: [grows, waits] })
  t.after(() => errand.close())
  await errand.worker().start()
  const run = await errand.start(workflow({ name: 'f', build: (w) => void w.add('grows', grows) }))
  const isGrown = async (): Promise<boolean> => {
    const nodes = await errand.workflows.nodes(run.id)
    return nodes.some(({ task: name, state }) => name === 'waits' && state === 'running')
  }
  while (!(await isGrown())) await new Promise((resolve) => setImmediate(resolve))
  assert.equal((await run.status())?.state, 'blocked')
  assert.equal((await checkBlocked(errand))[0]?.status, 'ok')
  end()
})

test('no more is looked at than the blocked jobs that there are, although a store would look on', async (t) => {
  const { jobs, queues, workers, ...errand } = createErrand({
    store: memory(),
    tasks: [slow, last],
  })
  t.after(() => errand.close())
  let pages = 0
  const list: Store['list'] = async (query) => {
    pages += 1
    const page = await errand.store.list(query)
    return { ...page, next: page.next ?? '0' }
  }
  const store = Object.create(errand.store, { list: { value: list } }) as Store
  const check = async (): Promise<string | undefined> =>
    (await checkBlocked({ store, jobs, queues, workers }))[0]?.text
  await errand.enqueue(slow)
  assert.equal(await check(), 'none')
  assert.equal(pages, 0)
  await errand.start(flow)
  assert.equal(await check(), 'each waits for one that has not ended')
  assert.equal(pages, 1)
})
