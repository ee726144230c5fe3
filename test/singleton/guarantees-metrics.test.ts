/** A metrics server that goes away and comes back: the rounds go on, and none of their points is missing. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { createErrand, singleton } from 'errand'
import { influxdb } from 'errand/influxdb'
import { memory } from 'errand/memory'
import { findInfluxdb } from '../influxdb-server.ts'
import { comesUp, freePort } from '../services.ts'

const service = await findInfluxdb()
after(() => service?.stop())
const server = service?.started

test('a metrics server that is away disturbs no run', { skip: server === undefined }, async (t) => {
  assert.ok(service !== null && server !== undefined && server !== null)
  const ask = async (query: string): Promise<unknown> => {
    const target = new URL('/query', service.url)
    target.search = new URLSearchParams({ db: 'metrics', q: query }).toString()
    const answer = await fetch(target, { method: 'POST' })
    const { results } = (await answer.json()) as {
      results: { series?: { values: unknown[][] }[] }[]
    }
    return results[0]?.series?.[0]?.values[0]?.[1] ?? 0
  }
  await ask('CREATE DATABASE metrics')
  let failures = 0
  const metrics = influxdb({
    url: service.url,
    database: 'metrics',
    timeout: '1s',
    onError: () => failures++,
  })
  const statuses: string[] = []
  const reports = singleton({
    name: 'reports',
    pause: '20ms',
    metrics,
    liveness: [],
    run: ({ metric }) => metric('reports_sent', 1),
  })
  const errand = createErrand({ store: memory(), singletons: [reports] })
  t.after(() => errand.close())
  errand.on('singleton-ended', ({ status }) => statuses.push(status))
  const stop = new AbortController()
  t.after(() => stop.abort())
  const ended = errand.singletons.run('reports', { signal: stop.signal })
  const rounds = (count: number): Promise<void> =>
    comesUp(`${count} rounds`, async () => assert.ok(statuses.length >= count))

  await rounds(5)
  await server.kill()
  const before = statuses.length
  await rounds(before + 20)
  await comesUp('a delivery that failed', async () => assert.ok(failures > 0))
  await rounds(before + 40)
  await server.start()
  await rounds(statuses.length + 5)
  stop.abort()
  assert.equal((await ended).error, null)
  assert.deepEqual(new Set(statuses), new Set(['succeeded']))
  await comesUp('a point of each round', async () => {
    assert.equal(await ask('SELECT count(value) FROM reports_sent'), statuses.length)
  })
})

test('a metrics server that is away is told of, also when it is chosen by name', async (t) => {
  const quiet = singleton({ name: 'quiet', once: true, liveness: [], run: () => {} })
  const errand = createErrand({ store: memory(), singletons: [quiet] })
  t.after(() => errand.close())
  const told: string[] = []
  errand.on('part-failed', ({ part, error }) => told.push(`${part}: ${(error as Error).message}`))
  const nobody = `http://127.0.0.1:${await freePort()}`
  const env = {
    ERRAND_RUN_METRICS: 'influxdb',
    ERRAND_INFLUXDB_URL: nobody,
    ERRAND_INFLUXDB_DATABASE: 'metrics',
  }
  const { status } = await errand.singletons.run('quiet', {
    signal: new AbortController().signal,
    env,
  })
  assert.equal(status, 'succeeded')
  assert.ok(told.length > 0)
  for (const text of told) assert.match(text, /^metrics: .*127\.0\.0\.1/)
})
