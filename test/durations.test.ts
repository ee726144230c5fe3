/** Every place that takes a duration: what is beyond the longest is refused there by its name, and the longest is really waited for. */
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createErrand, task } from 'errand'
import { memory } from 'errand/memory'
import { postgres } from 'errand/postgres'
import { sqlite } from 'errand/sqlite'
import { drain, runTask } from 'errand/testing'
import { longestMs } from '../src/core/duration.ts'
import { HoldLoop } from '../src/singleton/hold-loop.ts'
import { HttpClient } from '../src/singleton/http-client.ts'
import { consulLiveness } from '../src/singleton/liveness/consul.ts'
import { httpLiveness } from '../src/singleton/liveness/http.ts'
import { influxdb } from '../src/singleton/metrics/influxdb.ts'
import { parseOption } from '../src/singleton/options.ts'
import { readSettings } from '../src/singleton/settings.ts'
import { singleton } from '../src/singleton/singleton.ts'
import { systemClock } from '../src/stores/system-clock.ts'

const store = memory()
const errand = createErrand({ store })
const work = task({ name: 'work', run: () => 'done' })
const loop = singleton({ name: 'loop', run: () => undefined })

type Door = (ms: never) => unknown
const settings = (name: string): Door => {
  const read = (ms: number | string): unknown =>
    readSettings(loop, { flags: { [name]: String(ms) }, env: {} })
  return read
}

/** What takes a duration, by how it is called in the refusal. */
const doors: Readonly<Record<string, Door>> = {
  'createErrand().lease': (lease) => createErrand({ store, lease }),
  'createErrand().poll': (poll) => createErrand({ store, poll }),
  'createErrand().timeout': (timeout) => createErrand({ store, timeout }),
  'queues["a"].retention': (retention) => createErrand({ store, queues: { a: { retention } } }),
  'queues["a"].unique.for': (ms) => createErrand({ store, queues: { a: { unique: { for: ms } } } }),
  'worker().poll': (poll) => errand.worker({ poll }),
  'stop().grace': (grace) => errand.worker().stop({ grace }),
  'stop().abortGrace': (abortGrace) => errand.worker().stop({ abortGrace }),
  'result().timeout': (timeout) => errand.jobs.result('id', { timeout }),
  'drain().timeout': (timeout) => drain(errand, { timeout }),
  'runTask().timeout': (timeout) => runTask(work, undefined, { timeout }),
  'sqlite().callDeadlineMs': (callDeadlineMs) => sqlite('any.db', { callDeadlineMs }),
  'postgres().callDeadlineMs': (ms) => postgres('postgres://any', { callDeadlineMs: ms }),
  'httpLiveness().maxAge': (maxAge) => httpLiveness({ port: 1, maxAge }),
  'consulLiveness().checkTtl': (checkTtl) => consulLiveness({ checkTtl }),
  'influxdb().timeout': (timeout) => influxdb({ database: 'any', timeout }),
  'influxdb().retryWait': (retryWait) => influxdb({ database: 'any', retryWait }),
  '--every': settings('every'),
  '--pause': settings('pause'),
  '--ttl': settings('ttl'),
  '--grace': settings('grace'),
  '--own': (ms) => parseOption({ type: 'duration' }, String(ms), '--own'),
}

for (const [name, door] of Object.entries(doors)) {
  test(`${name} refuses what is longer than 100 years by its name`, async () => {
    for (const given of [longestMs + 1, 2 ** 53, '300000y']) {
      const call = async (): Promise<unknown> => await door(given as never)
      await assert.rejects(call, (error: Error & { code?: string }) => {
        assert.match(error.code ?? '', /^invalid-(?:option|config)$/)
        assert.ok(error.message.includes(`${name} must be`), error.message)
        return true
      })
    }
  })
}

const counts: Readonly<Record<string, Door>> = {
  'createErrand().slots': (slots) => createErrand({ store, slots }),
  'createErrand().keepAtMost': (keepAtMost) => createErrand({ store, keepAtMost }),
  'queues["a"].slots': (slots) => createErrand({ store, queues: { a: { slots } } }),
  'worker().slots': (slots) => errand.worker({ slots }),
  'influxdb().buffer': (buffer) => influxdb({ database: 'any', buffer }),
}

for (const [name, door] of Object.entries(counts)) {
  test(`${name} refuses what counts nothing by its name`, () => {
    for (const given of [2 ** 53, 1e300, Infinity, NaN, -0, 0.5, -1]) {
      assert.throws(
        () => door(given as never),
        (error: Error & { code?: string }) =>
          error.code === 'invalid-option' && error.message.startsWith(`${name} must be`),
      )
    }
  })
}

/** Longer than a timer that fires at once takes. */
const atOnceMs = 50

test('a lock for longer than a timer takes is not extended at once', async () => {
  let calls = 0
  const hold = new HoldLoop({
    locks: {
      hold: async () => ({ status: 'held', token: (calls += 1), validMs: longestMs }),
      release: async () => 'released',
    } as never,
    name: 'lock',
    holder: 'holder',
    ttlMs: longestMs,
    host: 'host',
    pid: 1,
    belief: { until: new Float64Array(1) },
    ticks: () => 0,
    report: () => undefined,
  })
  await hold.take()
  await sleep(atOnceMs)
  assert.equal(calls, 1)
  await hold.release()
})

test('a call over HTTP that may take 100 years is not given up at once', async (t) => {
  const server = createServer((_, reply) => void systemClock.after(20, () => reply.end('late')))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => void server.close())
  const { port } = server.address() as AddressInfo
  const url = `http://127.0.0.1:${port}`
  const client = new HttpClient('test()', url, { url, timeout: '100y' })
  assert.equal((await client.call({ method: 'GET', path: '/' })).text, 'late')
  client.close()
})

test('a timer of the system’s clock that is to wait 100 years does not fire at once', async () => {
  let woken = 0
  const stop = systemClock.after(longestMs, () => void woken++)
  await sleep(atOnceMs)
  assert.equal(woken, 0)
  stop()
})
