import assert from 'node:assert/strict'
import { AsyncLocalStorage } from 'node:async_hooks'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { createErrand, task, type Store } from 'errand'
import { memory } from 'errand/memory'
import { sqlite } from 'errand/sqlite'

async function onSqlite(t: TestContext): Promise<Store> {
  const folder = await mkdtemp(join(tmpdir(), 'errand-context-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return sqlite(join(folder, 'errand.db'))
}

for (const [name, open] of [
  ['memory', () => Promise.resolve(memory())],
  ['sqlite', onSqlite],
] as const) {
  test(`${name}: handlers and listeners see no request, neither that which started the worker nor that which enqueued`, async (t) => {
    const tenants = new AsyncLocalStorage<string>()
    const seen: unknown[] = []
    const see = (): void => void seen.push(tenants.getStore())
    const look = task({
      name: 'look',
      run: async () => {
        see()
        await new Promise(setImmediate)
        see()
      },
    })
    const errand = createErrand({ store: await open(t), tasks: [look] })
    for (const event of ['worker-started', 'run-started', 'run-ended', 'worker-stopped'] as const)
      errand.on(event, see)
    await tenants.run('first', () => errand.worker().start())
    for (const tenant of ['second', 'third']) {
      await tenants.run(tenant, async () => {
        await (await errand.enqueue(look)).result()
      })
    }
    await tenants.run('last', () => errand.close())
    assert.deepEqual([...new Set(seen)], [undefined])
    assert.equal(seen.length, 10)
  })
}

test('an inline run is part of the request that it answers', async () => {
  const tenants = new AsyncLocalStorage<string>()
  const look = task({ name: 'look', run: () => tenants.getStore() ?? 'nobody' })
  const errand = createErrand({ store: memory(), tasks: [look] })
  const job = await tenants.run('first', () => errand.enqueue(look, undefined, { inline: true }))
  assert.equal(await job.result(), 'first')
  await errand.close()
})
