/** Tests of users replace the global timers and clocks: what they enqueue is stored, what they drain runs, and what they close closes. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { createErrand, task, type Errand } from 'errand'
import { memory } from 'errand/memory'
import { sqlite } from 'errand/sqlite'
import { drain, runTask, testErrand } from 'errand/testing'

const hello = task({ name: 'hello', run: ({ name }: { name: string }) => `Hello ${name}` })
const tasks = [hello]
/** Long enough for a busy machine; without its own timers a call would never end. */
const timeout = 30_000

/** Stands in for a global timer that never fires, as the fake ones of vitest, jest and sinon do until they are told. */
function stopAllTimers(t: TestContext): void {
  const timer = { unref: () => timer, ref: () => timer, hasRef: () => true }
  for (const name of ['setTimeout', 'setInterval', 'setImmediate'] as const)
    t.mock.method(globalThis, name, () => timer)
  t.mock.method(performance, 'now', () => 0)
}

const fakes: Readonly<Record<string, (t: TestContext) => void>> = {
  'the mock timers of node:test': (t) => t.mock.timers.enable(),
  'timers that never fire': stopAllTimers,
  'a date that stands still': (t) =>
    t.mock.timers.enable({ apis: ['Date'], now: Date.parse('2030-01-01') }),
}

for (const [name, fake] of Object.entries(fakes)) {
  test(`with ${name} a test app enqueues, drains and closes`, { timeout }, async (t) => {
    fake(t)
    const errand = testErrand({ tasks })
    const job = await errand.enqueue(hello, { name: 'Ada' })
    await drain(errand)
    assert.equal(await job.result(), 'Hello Ada')
    assert.equal((await runTask(hello, { name: 'Bob' })).output, 'Hello Bob')
    await errand.close()
  })

  test(`with ${name} a worker in memory runs`, { timeout }, async (t) => {
    fake(t)
    await runOne(createErrand({ store: memory(), tasks }))
  })

  test(`with ${name} a worker on SQLite runs`, { timeout }, async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'errand-fake-timers-'))
    t.after(() => rm(folder, { recursive: true, force: true }))
    fake(t)
    await runOne(createErrand({ store: sqlite(join(folder, 'errand.db')), tasks }))
  })
}

async function runOne(errand: Errand): Promise<void> {
  await errand.worker().start()
  const job = await errand.enqueue(hello, { name: 'Ada' })
  assert.equal(await job.result(), 'Hello Ada')
  await errand.close()
}
