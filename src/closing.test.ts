import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { createErrand, task, type Errand } from './index.ts'
import { memory } from './stores/memory/index.ts'
import { sqlite } from './stores/sqlite/index.ts'

async function newFile(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'errand-closing-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return join(folder, 'errand.db')
}

const plain = task({ name: 'plain', run: () => 1 })

const keyed = task({ name: 'keyed', unique: true, run: (n: number) => n })

const calls: Readonly<Record<string, (errand: Errand) => Promise<unknown>>> = {
  enqueue: (errand) => errand.enqueue(plain),
  'enqueue of a unique job': (errand) => errand.enqueue(keyed, 1),
  'enqueue inline': (errand) => errand.enqueue(plain, undefined, { inline: true }),
  enqueueMany: (errand) =>
    errand.enqueueMany(Array.from({ length: 2_500 }, () => [plain] as const)),
  'jobs.cancel of several pages': (errand) => errand.jobs.cancel({}),
  'jobs.list': (errand) => errand.jobs.list(),
  'jobs.counts': (errand) => errand.jobs.counts(),
  'queues.pause': (errand) => errand.queues.pause('default'),
  'queues.list': (errand) => errand.queues.list(),
  'workers.list': (errand) => errand.workers.list(),
  'tasks.list': (errand) => errand.tasks.list(),
}

for (const [name, call] of Object.entries(calls)) {
  test(`close() waits for a call that came before it: ${name}`, async (t) => {
    const file = await newFile(t)
    const before = createErrand({ store: sqlite(file), tasks: [plain] })
    await before.enqueueMany(Array.from({ length: 1_200 }, () => [plain] as const))
    await before.close()
    const errand = createErrand({ store: sqlite(file), tasks: [plain, keyed] })
    const called = call(errand)
    await errand.close()
    await called
    await assert.rejects(call(errand), { code: 'closed' })
  })
}

test('close() waits for an input that is still being checked, and its job is stored', async (t) => {
  const file = await newFile(t)
  const { promise: isGood, resolve: good } = Promise.withResolvers<void>()
  const validate = async (value: unknown): Promise<{ value: unknown }> => {
    await isGood
    return { value }
  }
  const input = { '~standard': { version: 1 as const, vendor: 'test', validate } }
  const checked = task({ name: 'checked', input, run: () => 1 })
  const errand = createErrand({ store: sqlite(file), tasks: [checked] })
  const called = errand.enqueue(checked, 1)
  const closed = errand.close()
  good()
  await closed
  const { id } = await called
  const after = createErrand({ store: sqlite(file), tasks: [checked] })
  assert.equal((await after.jobs.get(id))?.state, 'ready')
  await after.close()
})

test('a worker that has stopped leaves nothing behind in its process', async (t) => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const errand = createErrand({ store: memory(), tasks: [plain] })
  t.after(() => errand.close())
  const made = await Promise.all(
    Array.from({ length: 5 }, async () => {
      const worker = errand.worker()
      await worker.start()
      await worker.stop()
      return new WeakRef(worker)
    }),
  )
  const isLeft = (): boolean => made.some((worker) => worker.deref() !== undefined)
  // The last of what knows a worker is the timer that asks, a second after its start, what the store warns of.
  for (const until = performance.now() + 10_000; isLeft() && performance.now() < until;) {
    await new Promise((resolve) => setTimeout(resolve, 50))
    collect()
  }
  assert.equal(isLeft(), false)
})
