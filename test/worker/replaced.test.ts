import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { once } from 'node:events'
import { test } from 'node:test'
import { isErrandError } from '../../src/core/errors.ts'
import { task } from '../../src/core/task.ts'
import { sqlite } from '../../src/stores/sqlite/index.ts'
import { appOn, newFile } from './harness.ts'

test('a worker whose file is replaced aborts what runs, says why, and goes on with the new file', async (t) => {
  const file = newFile(t)
  const aborts: unknown[] = []
  const ran: number[] = []
  const long = task({
    name: 'long',
    run: async (_: undefined, { signal }) => {
      await once(signal, 'abort')
      aborts.push(signal.reason)
    },
  })
  const short = task({ name: 'short', run: (n: number) => ran.push(n) })
  const { client, work, until, told } = appOn(t, sqlite(file), { tasks: [long, short], slots: 1 })
  const worker = await work()
  assert.equal(worker.status.renewer, 'thread')
  await client.enqueue(long, undefined)
  await until('it to run', () => worker.status.running === 1)
  await client.enqueue(short, 1)

  for (const end of ['', '-wal', '-shm']) rmSync(file + end)
  await assert.rejects(client.enqueue(short, 2), { code: 'store-replaced' })
  await until('it to be aborted', () => aborts.length > 0)
  assert.ok(isErrandError(aborts[0], 'lease-lost'), String(aborts[0]))
  await until('the sweeper to tell', () =>
    told.failed.some(
      ({ part, error }) => part === 'sweeper' && isErrandError(error, 'store-replaced'),
    ),
  )
  assert.ok((worker.status.parts['sweeper'] ?? 0) > 0)

  const other = appOn(t, sqlite(file), { tasks: [short] })
  await other.client.enqueue(short, 3)
  await until('a job of the new file to run', () => ran.includes(3))
  await until('the worker to be well', () =>
    Object.values(worker.status.parts).every((failures) => failures === 0),
  )
  assert.ok(!ran.includes(2))
})
