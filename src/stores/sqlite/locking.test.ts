/** Waiting for the write lock: off the event loop, in order, fairly, and not for ever. */
import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import test, { type TestContext } from 'node:test'
import { isErrandError } from '../../core/errors.ts'
import type { Store } from '../../store/store.ts'
import { claimOf, newJob } from '../../testing/conformance/jobs.ts'
import { sqlite, type SqliteOptions } from './index.ts'

const busyMs = 1_500
const [role, childFile] = process.argv.slice(2)
if (role === 'busy' && childFile !== undefined) await keepBusy(childFile)
else defineTests()

/** A child: writes without a pause and tells how much it got done, and how long it had to wait at most. */
async function keepBusy(file: string): Promise<void> {
  const store = sqlite(file)
  await store.setup()
  process.send?.('ready')
  await new Promise((resolve) => process.once('message', resolve))
  const end = performance.now() + busyMs
  let done = 0
  let longestMs = 0
  while (performance.now() < end) {
    const start = performance.now()
    await store.insert(Array.from({ length: 20 }, () => newJob()))
    longestMs = Math.max(longestMs, performance.now() - start)
    done += 1
  }
  await store.close()
  process.send?.({ done, longestMs }, () => process.disconnect?.())
}

function defineTests(): void {
  test('a call waits for another program, and the event loop goes on meanwhile', async (t) => {
    const { store, lock, unlock } = await locked(t)
    lock()
    let ticks = 0
    const ticking = setInterval(() => (ticks += 1), 1)
    t.after(() => clearInterval(ticking))
    const inserted = store.insert([newJob()])
    await new Promise((resolve) => setTimeout(resolve, 60))
    assert.ok(ticks > 0, 'no timer fired while the call waited')
    unlock()
    assert.equal((await inserted)[0]?.status, 'created')
  })

  test('a call that cannot be made in time says which file is held, and writes nothing', async (t) => {
    const { store, file, lock, unlock } = await locked(t, { callDeadlineMs: 50 })
    const job = newJob()
    lock()
    await assert.rejects(store.insert([job]), (error) => {
      assert.ok(isErrandError(error, 'store-busy'), String(error))
      assert.ok(error.message.includes(file))
      return true
    })
    unlock()
    assert.deepEqual(await store.get([job.id]), [null])
    assert.equal((await store.insert([job]))[0]?.status, 'created')
  })

  test('reads do not wait for a writer', async (t) => {
    const { store, lock, unlock } = await locked(t)
    const job = newJob()
    await store.insert([job])
    lock()
    const waiting = store.insert([newJob()])
    assert.equal((await store.get([job.id]))[0]?.id, job.id)
    assert.equal((await store.list({ limit: 10 })).jobs.length, 1)
    unlock()
    await waiting
  })

  test('calls that wait are served in their order', async (t) => {
    const { store, lock, unlock } = await locked(t)
    lock()
    const served: number[] = []
    const calls = [1, 2, 3, 4, 5].map(async (call) => {
      await store.insert([newJob()])
      served.push(call)
    })
    await new Promise((resolve) => setTimeout(resolve, 20))
    assert.deepEqual(served, [])
    unlock()
    await Promise.all(calls)
    assert.deepEqual(served, [1, 2, 3, 4, 5])
  })

  test('a store can be closed while another program holds the file', async (t) => {
    const { store, lock, unlock } = await locked(t)
    lock()
    const waiting = [store.insert([newJob()]), store.claim(claimOf())]
    await new Promise((resolve) => setTimeout(resolve, 10))
    const start = performance.now()
    await store.close()
    for (const call of waiting)
      await assert.rejects(call, (error) => isErrandError(error, 'closed'))
    assert.ok(performance.now() - start < 10_000)
    unlock()
  })

  test('calls one after the other let timers fire', async (t) => {
    const { store } = await locked(t)
    let ticks = 0
    const ticking = setInterval(() => (ticks += 1), 1)
    // Time in which this process had a processor: on a busy machine it is given few of 100 ms.
    const from = process.cpuUsage()
    const usedMs = (): number => {
      const { user, system } = process.cpuUsage(from)
      return (user + system) / 1_000
    }
    while (usedMs() < 100) await store.insert([newJob()])
    clearInterval(ticking)
    assert.ok(ticks > 5, `${ticks} ticks`)
  })

  test('of processes that write without a pause none starves', async (t) => {
    const { file } = await locked(t)
    const env = { ...process.env }
    delete env['NODE_TEST_CONTEXT']
    const children = [1, 2, 3].map(() => fork(import.meta.filename, ['busy', file], { env }))
    const heard = (child: (typeof children)[number]): Promise<unknown> =>
      new Promise((resolve) => child.once('message', resolve))
    await Promise.all(children.map(heard))
    const results = Promise.all(children.map(heard))
    for (const child of children) child.send('go')
    const done = (await results) as { done: number; longestMs: number }[]
    const total = done.reduce((sum, one) => sum + one.done, 0)
    for (const one of done) {
      assert.ok(one.done > total / 20, JSON.stringify(done))
      assert.ok(one.longestMs < busyMs * 0.9, JSON.stringify(done))
    }
  })
}

/** A store, and another connection that takes the write lock of its file. */
async function locked(
  t: TestContext,
  options: SqliteOptions = {},
): Promise<{ store: Store; file: string; lock: () => void; unlock: () => void }> {
  const folder = await mkdtemp(join(tmpdir(), 'errand-sqlite-'))
  const file = join(folder, 'jobs.db')
  const store = sqlite(file, options)
  await store.setup()
  const other = new DatabaseSync(file)
  t.after(async () => {
    await store.close()
    other.close()
    await rm(folder, { recursive: true })
  })
  return {
    store,
    file,
    lock: () => other.exec('BEGIN IMMEDIATE'),
    unlock: () => other.exec('ROLLBACK'),
  }
}
