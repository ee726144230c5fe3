import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { test } from 'node:test'
import { longestMs } from '../../src/core/duration.ts'
import { systemClock } from '../../src/stores/system-clock.ts'
import type { RunParts } from '../../src/singleton/loop.ts'
import { LoopProcess, ttlMs, untilAborted } from './loop-process.ts'
import { ToyServer } from './toy-locks.ts'

test('runs again and again under growing tokens, and frees the lock between', async (t) => {
  const server = new ToyServer()
  const a = new LoopProcess(t, server, {}, () => assert.equal(server.rows.size, 1))
  await a.until(() => a.ended.length >= 3)
  await a.stop()
  const tokens = a.runs.map(({ token }) => token ?? 0)
  assert.deepEqual(
    tokens,
    [...new Set(tokens)].sort((x, y) => x - y),
  )
  assert.ok(a.ended.every(({ status }) => status === 'succeeded'))
  assert.equal(server.rows.size, 0)
})

test('with keepLock the lock is never free between two runs, whoever waits', async (t) => {
  const server = new ToyServer()
  const pace = { kind: 'pause', ms: 1 } as const
  const a = new LoopProcess(t, server, { keepLock: true, pace })
  await a.until(() => a.ended.length >= 1)
  const b = new LoopProcess(t, server, { keepLock: true, pace })
  await a.until(() => a.ended.length >= 200)
  assert.equal(b.runs.length, 0)
  assert.equal(new Set(a.runs.map(({ token }) => token)).size, 1)
  await a.stop()
  await b.until(() => b.runs.length > 0)
  assert.ok((b.runs[0]?.token ?? 0) > (a.runs[0]?.token ?? 0))
})

test('a lost lock aborts the run at once, and the round was interrupted', async (t) => {
  const server = new ToyServer()
  const a = new LoopProcess(t, server, { keepLock: true }, untilAborted)
  await a.until(() => a.runs.length >= 1)
  server.free('reports')
  await a.until(() => a.ended.length >= 1)
  const { status, error } = a.ended[0] ?? {}
  assert.equal(status, 'interrupted')
  assert.equal((error as { code?: string }).code, 'lease-lost')
})

test('a silent server aborts the run before its time is over, and the loop goes on when it is back', async (t) => {
  const server = new ToyServer()
  const a = new LoopProcess(t, server, { keepLock: true }, untilAborted)
  await a.until(() => a.runs.length >= 1)
  server.isDown = true
  await a.until(() => a.ended.length >= 1)
  const left = (server.rows.get('reports')?.until ?? 0) - performance.now()
  assert.equal(a.ended[0]?.status, 'interrupted')
  assert.ok(left > -ttlMs / 2, `the lock had been free for ${-left} ms`)
  server.isDown = false
  await a.until(() => a.runs.length >= 2)
})

test('a stop aborts the run, waits for its end and frees the lock', async (t) => {
  const server = new ToyServer()
  const a = new LoopProcess(t, server, { keepLock: true }, untilAborted)
  await a.until(() => a.runs.length >= 1)
  assert.deepEqual(await a.stop(), { status: 'killed', error: a.ended[0]?.error })
  assert.equal(a.ended[0]?.status, 'killed')
  assert.equal(server.rows.size, 0)
})

test('a run that ignores a stop is given up after its grace, and has the lock until it ends', async (t) => {
  const server = new ToyServer()
  const { promise: atLast, resolve: end } = Promise.withResolvers<void>()
  const a = new LoopProcess(t, server, { graceMs: 30 }, () => atLast)
  await a.until(() => a.runs.length >= 1)
  await a.stop()
  assert.equal((a.ended[0]?.error as { code?: string } | undefined)?.code, 'timeout')
  const [run] = a.runs
  const b = new LoopProcess(t, server, {})
  await b.until(() => b.waiting.length >= 1)
  const extended = server.rows.get('reports')?.until ?? 0
  await b.until(() => (server.rows.get('reports')?.until ?? 0) > extended + ttlMs)
  await run?.extend()
  assert.equal(b.runs.length, 0)
  end()
  await b.until(() => b.runs.length >= 1)
})

test('a run that may go on for 100 years after a stop is waited for', async (t) => {
  const server = new ToyServer()
  const a = new LoopProcess(t, server, { graceMs: longestMs }, ({ signal }) => {
    const { promise, resolve } = Promise.withResolvers<void>()
    signal.addEventListener('abort', () => systemClock.after(20, resolve))
    return promise
  })
  await a.until(() => a.runs.length >= 1)
  assert.deepEqual(await a.stop(), { status: 'succeeded', error: null })
})

test('a failed run keeps the lock, unless it is to be released on errors', async (t) => {
  const fail = (): never => {
    throw new Error('meant to fail')
  }
  const keeping = new ToyServer()
  const a = new LoopProcess(t, keeping, { keepLock: true }, fail)
  await a.until(() => a.ended.length >= 1)
  assert.equal(a.ended[0]?.status, 'failed')
  const freeing = new ToyServer()
  const b = new LoopProcess(t, freeing, { keepLock: true, releaseOnError: true }, fail)
  await b.until(() => b.ended.length >= 1)
  const c = new LoopProcess(t, freeing, { keepLock: true })
  await c.until(() => c.runs.length >= 1)
  assert.equal(keeping.rows.size, 1)
})

test('rounds leave nothing on the signal that ends the loop, whatever runs attach to theirs', async (t) => {
  const attach = ({ signal }: RunParts): void => signal.addEventListener('abort', () => undefined)
  for (const locks of [{}, { locks: null }]) {
    const a = new LoopProcess(t, new ToyServer(), locks, attach)
    await a.until(() => a.runs.length > 20)
    assert.ok(getEventListeners(a.signal, 'abort').length <= 3, 'one round under way at most')
    await a.stop()
  }
})

test('a round that runs once answers what it came to, also without the lock', async (t) => {
  const server = new ToyServer()
  const pace = { kind: 'once' } as const
  const a = new LoopProcess(t, server, { pace })
  assert.deepEqual(await a.done, { status: 'succeeded', error: null })
  const b = new LoopProcess(t, server, { keepLock: true }, untilAborted)
  await b.until(() => b.runs.length >= 1)
  const c = new LoopProcess(t, server, { pace })
  assert.equal((await c.done).status, 'pending')
  assert.equal(c.runs.length, 0)
  const d = new LoopProcess(t, server, { pace, locks: null })
  assert.deepEqual(await d.done, { status: 'succeeded', error: null })
  assert.equal(d.runs[0]?.token, null)
})

test('each round gives points, each success a beat, and no two points share a time', async (t) => {
  const a = new LoopProcess(t, new ToyServer(), { pace: { kind: 'pause', ms: 1 } })
  await a.until(() => a.ended.length >= 5)
  await a.stop()
  const [duration, timestamp] = a.points
  assert.equal(duration?.measurement, 'job_duration_seconds')
  assert.deepEqual(duration.tags, { task: 'reports', type: 'task', status: 'succeeded' })
  assert.equal(timestamp?.measurement, 'last_successful_run_timestamp')
  assert.deepEqual(timestamp.tags, { task: 'reports' })
  assert.equal(new Set(a.points.map(({ atNs }) => atNs)).size, a.points.length)
  assert.equal(a.beats.filter(({ kind }) => kind === 'success').length, a.ended.length)
})

test('extend makes sure of the lock, and rejects once it is lost', async (t) => {
  const server = new ToyServer()
  let code: unknown = null
  const a = new LoopProcess(t, server, {}, async ({ extend }) => {
    await extend()
    server.free('reports')
    code = await extend().catch((error: { code?: string }) => error.code)
  })
  await a.until(() => a.ended.length >= 1)
  assert.equal(code, 'lease-lost')
})
