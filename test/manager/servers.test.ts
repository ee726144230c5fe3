/** The API before servers of their own: what comes in, and what happens when they go. */
import assert from 'node:assert/strict'
import test, { suite, type TestContext } from 'node:test'
import { listen } from 'errand/manager'
import { postgres } from 'errand/postgres'
import { redis } from 'errand/redis'
import type { Store } from 'errand/store'
import { canStartPostgres, startPostgres } from '../postgres-server.ts'
import { canStartRedis, startRedis } from '../redis-server.ts'
import type { Started } from '../services.ts'
import { routes } from '../../src/manager/routes/index.ts'
import { added, api, sendTo } from './harness.ts'
import { assertProblem, sweep } from './hostile.ts'

/** What they take goes into what a server is asked. */
const searching = routes.filter(({ id }) => ['listJobs', 'cancelJobs'].includes(id))
const hostile = ["' OR 1=1 --", '\u0000', '%7B}\ud83d', '9'.repeat(30)]

const path = '/v1/queues/default/tasks/add/jobs'

if (canStartPostgres()) onServer('PostgreSQL', () => startPostgres({}), postgres)
if (canStartRedis())
  onServer('Redis', () => startRedis('--appendonly', 'yes', '--appendfsync', 'always'), redis)

function onServer(
  name: string,
  start: () => Promise<Started & { readonly url: string }>,
  open: (url: string) => Store,
): void {
  suite(name, () => {
    let server: Started & { readonly url: string }
    const using = async (t: TestContext) => {
      const one = api(open(server.url))
      const own = await listen(one.manager, { port: 0 })
      t.after(async () => {
        await own.close()
        await one[Symbol.asyncDispose]()
      })
      return { ...one, send: sendTo(fetch, own.url) }
    }

    test('starts', async (t) => {
      server = await start()
      t.after(() => undefined)
    })

    test('hostile texts in every parameter of the routes that search: no 5xx, nothing stored', async () => {
      await using one = api(open(server.url))
      await sweep(one, hostile, searching)
    })

    test('a store that goes in the middle: 503 with a problem, and all is well when it is back', async (t) => {
      const { send, errand } = await using(t)
      const key = { 'idempotency-key': 'k' }
      const first = await added(send, path, { a: 1, b: 2 })
      const stored = await send('POST', path, { json: { a: 2, b: 2 }, headers: key })
      const waiting = send('GET', `/v1/jobs/${first}/result?wait=1s`)
      await server.kill()
      const during = await Promise.all([
        send('POST', path, { json: { a: 3, b: 2 }, headers: { 'idempotency-key': 'k2' } }),
        send('GET', `/v1/jobs/${first}`),
        send('GET', '/v1/queues'),
        send('POST', `/v1/jobs/${first}/take`, { json: { id: 't' } }),
        send('GET', '/v1/ready'),
      ])
      for (const answer of during) {
        assertProblem(answer)
        assert.equal(answer.status, 503, JSON.stringify(answer.body))
        assert.ok(answer.headers.has('retry-after'))
      }
      assert.equal((await send('GET', '/v1/health')).status, 200)
      assert.ok([202, 503].includes((await waiting).status))
      await server.start()
      const again = await send('POST', path, { json: { a: 2, b: 2 }, headers: key })
      assert.deepEqual(again.body, stored.body)
      const second = { json: { a: 3, b: 2 }, headers: { 'idempotency-key': 'k2' } }
      const { id } = (await send('POST', path, second)).body as { id: string }
      const { jobs } = await errand.jobs.list({ search: { path: ['a'], equals: 3 } })
      assert.deepEqual(
        jobs.map((job) => job.id),
        [id],
      )
    })

    test('stops', () => server.stop())
  })
}
