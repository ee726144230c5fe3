import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { task } from '../../src/core/task.ts'
import { sqlite } from '../../src/stores/sqlite/index.ts'
import { appOn, newFile } from './harness.ts'

test('a renewer thread that dies is replaced, and takes over the leases that are held', async (t) => {
  const file = newFile(t)
  const tries = `${file}.tries`
  writeFileSync(tries, '0')
  const module = new URL('./dying-connect.ts', import.meta.url).href
  const store = Object.assign(sqlite(file), { connector: { module, argument: { file, tries } } })
  const nap = task({ name: 'nap', run: () => sleep(8_000, 'done') })
  const { client, work, reach, told } = appOn(t, store, { tasks: [nap], lease: '6s' })
  const worker = await work()
  assert.equal(worker.status.renewer, 'thread')
  const { id } = await client.enqueue(nap, undefined)
  const job = await reach(id, 'completed')
  assert.deepEqual([job.losses, job.attempts, job.output], [0, 1, 'done'])
  assert.equal(readFileSync(tries, 'utf8'), '3')
  assert.equal(told.failed.filter(({ part }) => part === 'renewer').length, 2)
  assert.equal(worker.status.parts['renewer'], 0, 'it is well again')
})
