/** How long a process believes in its lock: never for longer than the server keeps it from others. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Locks } from 'errand'
import { HoldLoop, type HoldReport } from '../../src/singleton/hold-loop.ts'
import { toyLocks, ToyServer } from './toy-locks.ts'

const ttlMs = 1_000

/** A hold loop whose time is moved by hand, on a lock server whose answers take `wayMs` after it has decided. */
function onSlowServer(): {
  readonly loop: HoldLoop
  readonly until: Float64Array
  readonly time: { now: number; wayMs: number; lastDecided: number }
  readonly reports: HoldReport[]
  readonly server: ToyServer
} {
  const server = new ToyServer()
  const locks = toyLocks(server)
  const until = new Float64Array(1)
  const time = { now: 10_000, wayMs: 0, lastDecided: 0 }
  const reports: HoldReport[] = []
  const slow: Locks = {
    ...locks,
    async hold(request) {
      const answer = await locks.hold(request)
      time.lastDecided = time.now
      time.now += time.wayMs
      return answer
    },
  }
  const loop = new HoldLoop({
    locks: slow,
    name: 'reports',
    holder: 'a',
    ttlMs,
    host: 'here',
    pid: 1,
    belief: { until },
    ticks: () => time.now,
    report: (report) => reports.push(report),
  })
  return { loop, until, time, reports, server }
}

test('the time of a lock counts from before the question, however long its answer was on the way', async () => {
  const { loop, until, time } = onSlowServer()
  const inTime = (): boolean => (until[0] ?? 0) < time.lastDecided + ttlMs
  time.wayMs = 700
  assert.equal((await loop.take()).status, 'held')
  assert.ok(inTime(), `taken: believes until ${until[0]}, decided at ${time.lastDecided}`)
  assert.ok((until[0] ?? 0) > time.now, 'and it does believe')
  assert.equal(await loop.extend(), true)
  assert.ok(inTime(), `extended: believes until ${until[0]}, decided at ${time.lastDecided}`)
  time.wayMs = 2 * ttlMs
  await loop.extend()
  assert.ok((until[0] ?? 0) <= time.now, 'an answer that came too late is good for nothing')
  await loop.release()
  assert.equal(until[0], 0)
})

test('a holding that has passed on is told as lost, and believed in no more', async () => {
  const { loop, until, reports, server } = onSlowServer()
  const taken = await loop.take()
  assert.equal(taken.status, 'held')
  server.free('reports')
  assert.equal(await loop.extend(), false)
  assert.equal(until[0], 0)
  assert.deepEqual(reports, [{ kind: 'lost', token: taken.token, why: 'taken' }])
})
