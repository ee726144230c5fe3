import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isErrandError } from '../../src/core/errors.ts'
import { task } from '../../src/core/task.ts'
import { sqlite } from '../../src/stores/sqlite/index.ts'
import { appOn, gate, newFile } from './harness.ts'

test('a renewal that fails in the thread is told as an error with its code', async (t) => {
  const file = newFile(t)
  const connector = { module: new URL('refusing-connect.ts', import.meta.url).href, argument: file }
  const handler = gate<string>()
  const wait = task({ name: 'wait', run: () => handler.promise })
  const bench = appOn(t, Object.assign(sqlite(file), { connector }), {
    tasks: [wait],
    lease: '3s',
  })
  await bench.work()
  const { id } = await bench.client.enqueue('wait', undefined)
  const failure = (): unknown => bench.told.failed.find(({ part }) => part === 'renewer')?.error
  await bench.until('a failed renewal', failure)
  const error = failure()
  assert.ok(isErrandError(error, 'store-busy'))
  assert.equal(error.message, 'not now')
  handler.resolve('done')
  await bench.reach(id, 'completed')
})
