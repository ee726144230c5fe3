import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { comesUp } from '../../../test/services.ts'
import { findInfluxdb } from '../../../test/influxdb-server.ts'
import { influxdb, lineOf } from './influxdb.ts'
import type { Point } from './metrics.ts'

const from = 1_790_000_000_000_000_000n

function pointOf(n: number, change: Partial<Point> = {}): Point {
  const tags = { task: 'reports', type: 'task', status: 'succeeded' }
  return { measurement: 'job_duration_seconds', tags, value: n, atNs: from + BigInt(n), ...change }
}

test('a point is a line: tags by name, empty ones left out, special characters escaped, nanoseconds', () => {
  assert.equal(
    lineOf(pointOf(0, { value: 1.5 })),
    'job_duration_seconds,status=succeeded,task=reports,type=task value=1.5 1790000000000000000',
  )
  assert.equal(
    lineOf({
      measurement: 'a b,c',
      tags: { 'x=': 'y, z', none: '', end: 'w\\' },
      value: 1,
      atNs: 7n,
    }),
    String.raw`a\ b\,c,end=w,x\==y\,\ z value=1 7`,
  )
})

const service = await findInfluxdb()
if (service !== null) {
  after(() => service.stop())
  void describe('a real InfluxDB', () => {
    const ask = async (query: string, method = 'GET'): Promise<unknown> => {
      const target = new URL('/query', service.url)
      target.search = new URLSearchParams({ db: 'metrics', epoch: 'ns', q: query }).toString()
      const answer = await fetch(target, { method })
      const { results } = (await answer.json()) as {
        results: { series?: { values: unknown[][] }[] }[]
      }
      return results[0]?.series?.[0]?.values ?? []
    }
    const holds = async (count: number): Promise<void> => {
      await comesUp(`a database with ${count} points`, async () => {
        const [row] = (await ask('SELECT count(value) FROM job_duration_seconds')) as unknown[][]
        assert.equal(row?.[1] ?? 0, count)
      })
    }

    test('takes points, two within one second as well, and all of those of an outage', async () => {
      await ask('DROP DATABASE metrics', 'POST')
      await ask('CREATE DATABASE metrics', 'POST')
      const errors: unknown[] = []
      const metrics = influxdb({
        url: service.url,
        database: 'metrics',
        onError: (error) => errors.push(error),
      })
      metrics.push([pointOf(1), pointOf(2)])
      await holds(2)
      assert.ok(service.started !== null)
      await service.started.kill()
      metrics.push([pointOf(3)])
      metrics.push(Array.from({ length: 1_500 }, (_, i) => pointOf(4 + i)))
      await comesUp('a try that failed', async () => assert.ok(errors.length > 0))
      await service.started.start()
      await holds(1_503)
      await metrics.close(1_000)
    })

    test('drops a bad point alone, and says so', async () => {
      await ask('DROP DATABASE metrics', 'POST')
      await ask('CREATE DATABASE metrics', 'POST')
      const told: string[] = []
      const metrics = influxdb({
        url: service.url,
        database: 'metrics',
        onError: ({ message }) => told.push(message),
      })
      const bad = pointOf(5, { value: Number.NaN })
      metrics.push([pointOf(1), bad, pointOf(2), pointOf(3)])
      await metrics.close(5_000)
      await holds(3)
      assert.equal(told.length, 1)
      assert.match(told[0] ?? '', /refused a point of job_duration_seconds/)
    })

    test('keeps no more points than its buffer while the server is away', async () => {
      const told: string[] = []
      const metrics = influxdb({
        url: 'http://127.0.0.1:9',
        database: 'metrics',
        buffer: 10,
        onError: ({ message }) => told.push(message),
      })
      metrics.push(Array.from({ length: 25 }, (_, i) => pointOf(i)))
      await metrics.close(1_000)
      assert.ok(told.some((message) => message.includes('15 points were dropped')))
      assert.ok(told.some((message) => message.includes('10 points were not delivered')))
    })
  })
}
