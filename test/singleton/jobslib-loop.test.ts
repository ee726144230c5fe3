/** The loop of Jobslib step by step (J38 of its capabilities), and what Errand does at each. */
import assert from 'node:assert/strict'
import { hostname } from 'node:os'
import { test, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Clock } from '../../src/core/clock.ts'
import type { RoundStatus, RunParts } from '../../src/singleton/loop.ts'
import type { SingletonSettings } from '../../src/singleton/settings.ts'
import { systemClock } from '../../src/stores/system-clock.ts'
import { LoopProcess, ttlMs, untilAborted } from './loop-process.ts'
import { toyLocks, ToyServer } from './toy-locks.ts'

/** A clock on which every rest is short, and which keeps how long it was to be, and whether the lock was held then. */
class RestClock implements Clock {
  readonly rests: { readonly ms: number; readonly isHeld: boolean }[] = []
  readonly #server: ToyServer

  constructor(server: ToyServer) {
    this.#server = server
  }

  now(): number {
    return systemClock.now()
  }

  after(ms: number, wake: () => void): () => void {
    this.rests.push({ ms, isHeld: this.#server.rows.has('reports') })
    return systemClock.after(Math.min(ms, 1), wake)
  }
}

const once = { pace: { kind: 'once' } } as const
const fail = (): never => {
  throw new Error('meant to fail')
}

/** A process that holds the lock until it is stopped. */
async function holder(t: TestContext, server: ToyServer): Promise<LoopProcess> {
  const process = new LoopProcess(t, server, { keepLock: true }, untilAborted)
  await process.until(() => process.runs.length >= 1)
  return process
}

test('step 1: a round counts from before it asks for the lock, and runs only when it has it', async (t) => {
  const server = new ToyServer()
  const locks = toyLocks(server)
  const slowMs = 60
  const slow: SingletonSettings['locks'] = {
    ...locks,
    hold: async (request) => {
      await sleep(slowMs)
      return locks.hold(request)
    },
  }
  let held = false
  const a = new LoopProcess(t, server, { ...once, locks: slow }, () => {
    held = server.rows.has('reports')
  })
  await a.done
  assert.ok(held)
  const [duration] = a.points
  assert.ok((duration?.value ?? 0) >= (slowMs - 1) / 1_000, `${duration?.value} s`)
})

test('step 2: a round without the lock tells whose it is, runs nothing and is pending', async (t) => {
  const server = new ToyServer()
  const a = await holder(t, server)
  const b = new LoopProcess(t, server, {})
  await b.until(() => b.points.length > 0)
  assert.equal(b.runs.length, 0)
  assert.equal(b.waiting[0]?.owner?.host, hostname())
  assert.equal(b.waiting[0].owner.pid, process.pid)
  assert.equal(b.points[0]?.tags['status'], 'pending')
  assert.equal(server.rows.get('reports')?.token, a.runs[0]?.token)
  const c = new LoopProcess(t, server, once)
  assert.deepEqual((await c.done).status, 'pending')
})

test('step 2: an owner that stays the same is told once', async (t) => {
  const server = new ToyServer()
  await holder(t, server)
  const b = new LoopProcess(
    t,
    server,
    { locks: toyLocks(server) },
    undefined,
    new RestClock(server),
  )
  await b.until(() => b.points.length >= 5)
  assert.equal(b.waiting.length, 1)
})

/** What becomes of the lock after a run, and whether a beat tells a success. */
const ends: Readonly<
  Record<
    string,
    readonly [
      change: Partial<SingletonSettings>,
      run: () => void,
      isKept: boolean,
      status: RoundStatus,
    ]
  >
> = {
  'a success frees the lock': [{}, () => {}, false, 'succeeded'],
  'a failure frees the lock': [{}, fail, false, 'failed'],
  'with keepLock a success keeps it': [{ keepLock: true }, () => {}, true, 'succeeded'],
  'with keepLock a failure keeps it': [{ keepLock: true }, fail, true, 'failed'],
  'with keepLock and releaseOnError a success keeps it': [
    { keepLock: true, releaseOnError: true },
    () => {},
    true,
    'succeeded',
  ],
  'with keepLock and releaseOnError a failure frees it': [
    { keepLock: true, releaseOnError: true },
    fail,
    false,
    'failed',
  ],
}
for (const [what, [change, run, isKept, status]] of Object.entries(ends)) {
  test(`step 3: ${what}, and ${status === 'failed' ? 'writes no' : 'writes a'} beat of success`, async (t) => {
    const server = new ToyServer()
    const clock = new RestClock(server)
    const a = new LoopProcess(t, server, change, run, clock)
    await a.until(() => a.ended.length >= 2)
    assert.equal(a.ended[0]?.status, status)
    assert.equal(clock.rests[0]?.isHeld, isKept)
    assert.equal(
      a.beats.some(({ kind }) => kind === 'success'),
      status === 'succeeded',
    )
    await a.stop()
    assert.equal(server.rows.size, 0)
  })
}

for (const [what, run] of Object.entries({ succeeds: () => {}, fails: fail })) {
  test(`step 3: a run that is once and ${what} frees the lock, whatever keepLock says`, async (t) => {
    const server = new ToyServer()
    const a = new LoopProcess(t, server, { ...once, keepLock: true }, run)
    await a.done
    assert.equal(server.rows.size, 0)
  })
}

test('step 3: the signal handlers of the host program stay as they are while a singleton runs', async (t) => {
  const count = (): readonly number[] =>
    (['SIGTERM', 'SIGINT'] as const).map((signal) => process.listenerCount(signal))
  const before = count()
  let during: readonly number[] = []
  const a = new LoopProcess(t, new ToyServer(), once, () => {
    during = count()
  })
  await a.done
  assert.deepEqual([during, count()], [before, before])
})

/** How a run ends, what is said of it, and whether the loop goes on. */
const statuses: Readonly<
  Record<
    Exclude<RoundStatus, 'pending'>,
    {
      readonly run: (parts: RunParts) => Promise<void> | void
      readonly strike?: (process: LoopProcess, server: ToyServer) => void
      readonly goesOn: boolean
    }
  >
> = {
  succeeded: { run: () => {}, goesOn: true },
  failed: { run: fail, goesOn: true },
  interrupted: {
    run: untilAborted,
    strike: (_, server) => server.free('reports'),
    goesOn: true,
  },
  killed: { run: untilAborted, strike: (process) => void process.stop(), goesOn: false },
}

for (const [status, { run, strike, goesOn }] of Object.entries(statuses)) {
  const what = goesOn ? 'is followed by the next one' : 'ends the loop'
  test(`step 4: a round that came to ${status} ${what}; one that is once answers it`, async (t) => {
    const server = new ToyServer()
    const a = new LoopProcess(t, server, {}, run, new RestClock(server))
    await a.until(() => a.runs.length >= 1)
    strike?.(a, server)
    await a.until(() => a.ended.length >= 1)
    assert.equal(a.ended[0]?.status, status)
    if (goesOn) await a.until(() => a.runs.length >= 2)
    else assert.equal((await a.done).status, status)

    const fresh = new ToyServer()
    const b = new LoopProcess(t, fresh, once, run)
    await b.until(() => b.runs.length >= 1)
    strike?.(b, fresh)
    assert.equal((await b.done).status, status)
    assert.equal(fresh.rows.size, 0)
  })

  test(`step 5: a round that came to ${status} is told to the metrics`, async (t) => {
    const server = new ToyServer()
    const a = new LoopProcess(t, server, once, run)
    await a.until(() => a.runs.length >= 1)
    strike?.(a, server)
    await a.done
    const told = a.points.map(({ measurement, tags }) => ({ measurement, tags }))
    const duration = {
      measurement: 'job_duration_seconds',
      tags: { task: 'reports', type: 'task', status },
    }
    const success = { measurement: 'last_successful_run_timestamp', tags: { task: 'reports' } }
    assert.deepEqual(told, status === 'succeeded' ? [duration, success] : [duration])
  })
}

test('step 5: a round that came to pending is told to the metrics, and is no success', async (t) => {
  const server = new ToyServer()
  await holder(t, server)
  const b = new LoopProcess(t, server, once)
  await b.done
  assert.deepEqual(
    b.points.map(({ measurement, tags }) => ({ measurement, tags })),
    [
      {
        measurement: 'job_duration_seconds',
        tags: { task: 'reports', type: 'task', status: 'pending' },
      },
    ],
  )
  assert.deepEqual(b.beats, [])
})

test('step 6: once ends without a rest', async (t) => {
  const server = new ToyServer()
  const clock = new RestClock(server)
  await new LoopProcess(t, server, once, () => {}, clock).done
  assert.deepEqual(clock.rests, [])
})

test('step 6: a pause counts from the end of a run, however long that took', async (t) => {
  const server = new ToyServer()
  const clock = new RestClock(server)
  const pace = { kind: 'pause', ms: 60_000 } as const
  const a = new LoopProcess(t, server, { pace }, async () => sleep(30).then(() => {}), clock)
  await a.until(() => a.ended.length >= 2)
  assert.equal(clock.rests[0]?.ms, 60_000)
})

test('step 6: every counts from the start of a run; what takes longer is followed at once, and nothing is made up', async (t) => {
  const server = new ToyServer()
  const clock = new RestClock(server)
  const pace = { kind: 'every', ms: 60_000 } as const
  const a = new LoopProcess(t, server, { pace }, async () => sleep(30).then(() => {}), clock)
  await a.until(() => a.ended.length >= 2)
  const rest = clock.rests[0]?.ms ?? 0
  assert.ok(rest > 0 && rest <= 60_000 - 29, `${rest} ms`)

  const short = new RestClock(server)
  const hurried = { pace: { kind: 'every', ms: 5 }, locks: null } as const
  const b = new LoopProcess(t, server, hurried, async () => sleep(40).then(() => {}), short)
  await b.until(() => b.ended.length >= 3)
  assert.deepEqual(
    short.rests.slice(0, 2).map(({ ms }) => ms),
    [0, 0],
  )
})

test('step 7: a lock that is kept is extended over the rest, and not released and taken again', async (t) => {
  const server = new ToyServer()
  const pace = { kind: 'pause', ms: 3_000 } as const
  const a = new LoopProcess(t, server, { keepLock: true, ttlMs: 2_000, pace })
  await a.until(() => a.ended.length >= 1)
  const rival = new LoopProcess(t, server, { keepLock: true })
  await a.until(() => a.ended.length >= 2)
  assert.equal(a.runs[1]?.token, a.runs[0]?.token)
  assert.equal(rival.runs.length, 0)
})

test('step 7: a stop in the rest ends the loop at once, with the lock free', async (t) => {
  const server = new ToyServer()
  const rests = Promise.withResolvers<void>()
  const clock: Clock = {
    now: () => systemClock.now(),
    after(ms, wake) {
      rests.resolve()
      return systemClock.after(ms, wake)
    },
  }
  const pace = { kind: 'pause', ms: 3_600_000 } as const
  const a = new LoopProcess(t, server, { keepLock: true, pace }, () => {}, clock)
  await rests.promise
  assert.equal(server.rows.size, 1)
  assert.equal((await a.stop()).status, 'succeeded')
  assert.equal(server.rows.size, 0)
})

test('step 7: a lock that is lost in the rest is no longer believed in, and the next round takes it anew', async (t) => {
  const server = new ToyServer()
  const a = new LoopProcess(t, server, { keepLock: true, pace: { kind: 'pause', ms: 3 * ttlMs } })
  await a.until(() => a.points.length > 0)
  server.free('reports')
  await a.until(() => a.ended.length >= 2)
  assert.equal(a.ended[1]?.status, 'succeeded')
  assert.ok((a.runs[1]?.token ?? 0) > (a.runs[0]?.token ?? 0))
})

test('step 8: after a failure with releaseOnError the rest is twice as long, and another process may run', async (t) => {
  const rests = async (change: Partial<SingletonSettings>): Promise<number | undefined> => {
    const server = new ToyServer()
    const clock = new RestClock(server)
    const pace = { kind: 'pause', ms: 2_000 } as const
    const a = new LoopProcess(t, server, { keepLock: true, pace, ...change }, fail, clock)
    await a.until(() => a.ended.length >= 2)
    await a.stop()
    return clock.rests[0]?.ms
  }
  assert.equal(await rests({}), 2_000)
  assert.equal(await rests({ releaseOnError: true }), 4_000)

  const server = new ToyServer()
  const failing = { keepLock: true, releaseOnError: true, pace: { kind: 'pause', ms: 60_000 } }
  const a = new LoopProcess(t, server, failing as Partial<SingletonSettings>, fail)
  await a.until(() => a.ended.length >= 1)
  const b = new LoopProcess(t, server, { keepLock: true })
  await b.until(() => b.runs.length >= 2)
})

test('step 8: a round that failed or did not run is never followed at once by the next', async (t) => {
  const server = new ToyServer()
  server.isDown = true
  const clock = new RestClock(server)
  const hurried = { pace: { kind: 'pause', ms: 1 } } as const
  const a = new LoopProcess(t, server, hurried, fail, clock)
  await a.until(() => clock.rests.length >= 1 && a.troubles.length >= 2)
  server.isDown = false
  await a.until(() => a.ended.length >= 2)
  assert.ok(clock.rests.every(({ ms }) => ms >= 1_000))
})

test('own metrics and liveness that throw disturb no round, and are told of', async (t) => {
  const away = (): never => {
    throw new Error('the server is away')
  }
  const info = { kind: 'own', location: 'nowhere' }
  const broken: Partial<SingletonSettings> = {
    metrics: [{ info, push: away, close: async () => {} }],
    liveness: [{ info, write: away, read: away, close: async () => {} }],
  }
  const a = new LoopProcess(t, new ToyServer(), { ...once, ...broken })
  assert.equal((await a.done).status, 'succeeded')
  assert.deepEqual(a.troubles.map(({ part }) => part).sort(), ['liveness', 'metrics'])
})

test('a lock server that is away when the loop ends does not fail it', async (t) => {
  const server = new ToyServer()
  const a = new LoopProcess(t, server, { keepLock: true, pace: { kind: 'pause', ms: 3_600_000 } })
  await a.until(() => a.points.length > 0)
  server.isDown = true
  assert.equal((await a.stop()).status, 'succeeded')
  assert.equal(a.troubles.at(-1)?.part, 'lock')
})
