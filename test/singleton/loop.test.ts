import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { EventHub, type Events } from '../../src/observe/events.ts'
import { SingletonLoop, type RunParts } from '../../src/singleton/loop.ts'
import type { SingletonSettings } from '../../src/singleton/settings.ts'
import type { Beat } from '../../src/singleton/liveness/liveness.ts'
import type { Point } from '../../src/singleton/metrics/metrics.ts'
import { systemClock } from '../../src/stores/system-clock.ts'
import { toyLocks, ToyServer } from './toy-locks.ts'

const ttlMs = 400

/** One process with a loop. */
class Process {
  readonly runs: RunParts[] = []
  readonly ended: Events['singleton-ended'][] = []
  readonly beats: Beat[] = []
  readonly points: Point[] = []
  readonly #stop = new AbortController()
  readonly done: Promise<unknown>
  readonly #waiters: (() => void)[] = []

  constructor(
    t: TestContext,
    server: ToyServer,
    change: Partial<SingletonSettings>,
    run: (parts: RunParts) => Promise<void> | void = () => {},
  ) {
    const events = new EventHub()
    events.on('singleton-ended', (event) => {
      this.ended.push(event)
      this.#notice()
    })
    const settings: SingletonSettings = {
      name: 'reports',
      pace: { kind: 'pause', ms: 5 },
      locks: toyLocks(server),
      ttlMs,
      keepLock: false,
      releaseOnError: false,
      liveness: [
        {
          info: { kind: 'test', location: 'an array' },
          write: async (beat) => void this.beats.push(beat),
          read: async () => ({ success: null, alive: null }),
          close: async () => {},
        },
      ],
      metrics: [
        {
          info: { kind: 'test', location: 'an array' },
          push: (points) => void this.points.push(...points),
          close: async () => {},
        },
      ],
      graceMs: 25_000,
      ...change,
    }
    const loop = new SingletonLoop({
      settings,
      clock: systemClock,
      events,
      run: async (parts) => {
        this.runs.push(parts)
        this.#notice()
        await run(parts)
      },
    })
    this.done = loop.run(this.#stop.signal)
    t.after(() => this.stop())
  }

  stop(): Promise<unknown> {
    this.#stop.abort(new Error('told to stop'))
    return this.done
  }

  /** Resolves when it holds; looked at after each start and end of a run. */
  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await new Promise<void>((resolve) => this.#waiters.push(resolve))
  }

  #notice(): void {
    for (const resolve of this.#waiters.splice(0)) resolve()
  }
}

/** Runs until its signal aborts, and throws what that says. */
function untilAborted({ signal }: RunParts): Promise<void> {
  return new Promise((_, reject) => {
    const end = (): void => reject(signal.reason as Error)
    if (signal.aborted) end()
    signal.addEventListener('abort', end)
  })
}

test('runs again and again under growing tokens, and frees the lock between', async (t) => {
  const server = new ToyServer()
  const a = new Process(t, server, {}, () => assert.equal(server.rows.size, 1))
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
  const a = new Process(t, server, { keepLock: true, pace })
  await a.until(() => a.ended.length >= 1)
  const b = new Process(t, server, { keepLock: true, pace })
  await a.until(() => a.ended.length >= 200)
  assert.equal(b.runs.length, 0)
  assert.equal(new Set(a.runs.map(({ token }) => token)).size, 1)
  await a.stop()
  await b.until(() => b.runs.length > 0)
  assert.ok((b.runs[0]?.token ?? 0) > (a.runs[0]?.token ?? 0))
})

test('a lost lock aborts the run at once, and the round was interrupted', async (t) => {
  const server = new ToyServer()
  const a = new Process(t, server, { keepLock: true }, untilAborted)
  await a.until(() => a.runs.length === 1)
  server.free('reports')
  await a.until(() => a.ended.length === 1)
  const { status, error } = a.ended[0] ?? {}
  assert.equal(status, 'interrupted')
  assert.equal((error as { code?: string }).code, 'lease-lost')
})

test('a silent server aborts the run before its time is over, and the loop goes on when it is back', async (t) => {
  const server = new ToyServer()
  const a = new Process(t, server, { keepLock: true }, untilAborted)
  await a.until(() => a.runs.length === 1)
  server.isDown = true
  await a.until(() => a.ended.length === 1)
  const left = (server.rows.get('reports')?.until ?? 0) - performance.now()
  assert.equal(a.ended[0]?.status, 'interrupted')
  assert.ok(left > -ttlMs / 2, `the lock had been free for ${-left} ms`)
  server.isDown = false
  await a.until(() => a.runs.length === 2)
})

test('a stop aborts the run, waits for its end and frees the lock', async (t) => {
  const server = new ToyServer()
  const a = new Process(t, server, { keepLock: true }, untilAborted)
  await a.until(() => a.runs.length === 1)
  assert.deepEqual(await a.stop(), { status: 'killed', error: a.ended[0]?.error })
  assert.equal(a.ended[0]?.status, 'killed')
  assert.equal(server.rows.size, 0)
})

test('a run that ignores a stop is given up after its grace, with the lock free', async (t) => {
  const server = new ToyServer()
  const a = new Process(t, server, { graceMs: 30 }, () => new Promise<void>(() => {}))
  await a.until(() => a.runs.length === 1)
  await a.stop()
  assert.equal((a.ended[0]?.error as { code?: string } | undefined)?.code, 'timeout')
  assert.equal(server.rows.size, 0)
})

test('a failed run keeps the lock, unless it is to be released on errors', async (t) => {
  const fail = (): never => {
    throw new Error('meant to fail')
  }
  const keeping = new ToyServer()
  const a = new Process(t, keeping, { keepLock: true }, fail)
  await a.until(() => a.ended.length === 1)
  assert.equal(a.ended[0]?.status, 'failed')
  const freeing = new ToyServer()
  const b = new Process(t, freeing, { keepLock: true, releaseOnError: true }, fail)
  await b.until(() => b.ended.length === 1)
  const c = new Process(t, freeing, { keepLock: true })
  await c.until(() => c.runs.length === 1)
  assert.equal(keeping.rows.size, 1)
})

test('a round that runs once answers what it came to, also without the lock', async (t) => {
  const server = new ToyServer()
  const pace = { kind: 'once' } as const
  const a = new Process(t, server, { pace })
  assert.deepEqual(await a.done, { status: 'succeeded', error: null })
  const b = new Process(t, server, { keepLock: true }, untilAborted)
  await b.until(() => b.runs.length === 1)
  const c = new Process(t, server, { pace })
  assert.equal(((await c.done) as { status: string }).status, 'pending')
  assert.equal(c.runs.length, 0)
  const d = new Process(t, server, { pace, locks: null })
  assert.deepEqual(await d.done, { status: 'succeeded', error: null })
  assert.equal(d.runs[0]?.token, null)
})

test('each round gives points, each success a beat, and no two points share a time', async (t) => {
  const a = new Process(t, new ToyServer(), { pace: { kind: 'pause', ms: 1 } })
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
  const a = new Process(t, server, {}, async ({ extend }) => {
    await extend()
    server.free('reports')
    code = await extend().catch((error: { code?: string }) => error.code)
  })
  await a.until(() => a.ended.length >= 1)
  assert.equal(code, 'lease-lost')
})
