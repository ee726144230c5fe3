/** How sources are doing is told in the records of workers, for those who look from elsewhere. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { createErrand, task, type Errand } from 'errand'
import { sqlite } from 'errand/sqlite'
import { eventually } from './eventually.ts'
import { Shelf } from './shelf.ts'

/** An app with a shelf, and another one that looks at the same store. */
async function apart(context: TestContext, shelf: Shelf): Promise<{ own: Errand; other: Errand }> {
  const folder = await mkdtemp(join(tmpdir(), 'errand-told-'))
  const path = join(folder, 'jobs.db')
  const add = task({ name: 'add', run: () => null })
  // Heartbeats come ten times a second.
  const own = createErrand({
    store: sqlite(path),
    tasks: [add],
    sources: [shelf.source()],
    lease: 600,
  })
  const other = createErrand({ store: sqlite(path) })
  context.after(async () => {
    await own.close()
    await other.close()
    await rm(folder, { recursive: true })
  })
  return { own, other }
}

test('sources without a worker are told of in a record of their own, which ends with them', async (t) => {
  const shelf = new Shelf()
  const { own, other } = await apart(t, shelf)
  own.sources.start()
  shelf.put(JSON.stringify({ name: 'add', input: {} }), 'one')
  shelf.put('no job', 'two')
  const [told] = await eventually(async () => {
    const workers = await other.workers.list()
    assert.equal(workers[0]?.sources[0]?.parked, 1)
    return workers
  })
  assert.deepEqual([told?.slots, told?.queues, told?.state], [0, [], 'running'])
  const [source] = told?.sources ?? []
  assert.deepEqual(
    [source?.name, source?.state, source?.failures, source?.stored],
    ['shelf', 'connected', 0, 1],
  )
  await own.sources.stop()
  const after = await other.workers.list()
  assert.deepEqual(
    after.map(({ id, state, sources }) => [id, state, sources]),
    [[told?.id, 'stopped', []]],
  )
})

test('why a source cannot connect is told, in at most 500 bytes', async (t) => {
  const shelf = new Shelf()
  const { own, other } = await apart(t, shelf)
  own.sources.start()
  shelf.refuses = new Error(`the shelf is away ${'é'.repeat(1_000)}`)
  shelf.cut()
  await eventually(async () => {
    const [source] = (await other.workers.list())[0]?.sources ?? []
    assert.ok((source?.failures ?? 0) > 0)
    assert.match(source?.lastError ?? '', /^Error: the shelf is away é+… \(\d+ more characters\)$/)
    assert.ok(Buffer.byteLength(source?.lastError ?? '') <= 500)
  })
})

test('a worker tells of the sources beside it, and they of themselves once it has stopped', async (t) => {
  const { own, other } = await apart(t, new Shelf())
  const worker = own.worker()
  await worker.start()
  own.sources.start()
  await eventually(async () => {
    const workers = await other.workers.list()
    assert.deepEqual(
      workers.map(({ id, sources }) => [id, sources.map(({ state }) => state)]),
      [[worker.id, ['connected']]],
    )
  })
  await worker.stop()
  await eventually(async () => {
    const workers = await other.workers.list()
    assert.deepEqual(
      workers.map(({ state, slots, sources }) => [state, slots, sources.length]),
      [
        ['running', 0, 1],
        ['stopped', worker.status.slots, 0],
      ],
    )
  })
})
