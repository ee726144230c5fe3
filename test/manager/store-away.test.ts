/** A manager whose store goes away: at its start, and while requests are under way. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test, type TestContext } from 'node:test'
import { createErrand, type Errand } from 'errand'
import { listen, manager } from 'errand/manager'
import { postgres } from 'errand/postgres'
import { findPostgres, query } from '../postgres-server.ts'
import { freePort } from '../services.ts'
import { tcpProxy, type TcpProxy } from '../tcp-proxy.ts'
import { any, sendTo, until, type Send } from './harness.ts'
import { assertProblem, unknown } from './hostile.ts'

const server = await findPostgres()

interface Scene {
  readonly errand: Errand
  readonly send: Send
  /** Ends all connections to the store, and lets none come through. */
  readonly goAway: () => void
  readonly comeBack: () => void
}

/** A manager on a schema of its own, which it reaches only after `comeBack`. */
async function open(t: TestContext): Promise<Scene> {
  const url = new URL(server?.url ?? '')
  const there = Number(url.port)
  const nowhere = await freePort()
  const proxy: TcpProxy = await tcpProxy(nowhere)
  url.port = String(proxy.port)
  const schema = `errand_away_${randomUUID().slice(0, 8)}`
  const errand = createErrand({ store: postgres(url.href, { schema }), tasks: [any] })
  const listening = await listen(manager(errand, { access: 'open' }), { port: 0 })
  t.after(async () => {
    await listening.close({ grace: 0 })
    await errand.close()
    await proxy.close()
    await query(server?.url ?? '', `DROP SCHEMA IF EXISTS ${schema} CASCADE`)
    await server?.stop()
  })
  return {
    errand,
    send: sendTo(fetch, listening.url),
    comeBack: () => proxy.aim(there),
    goAway() {
      proxy.aim(nowhere)
      proxy.cut()
    },
  }
}

const path = '/v1/queues/other/tasks/any/jobs'

/** One request of each kind that needs the store. */
const needy: readonly Parameters<Send>[] = [
  ['POST', path, { json: 1 }],
  ['POST', path, { json: 1, headers: { 'idempotency-key': 'k' } }],
  ['POST', '/v1/jobs', { json: [{ task: 'any' }, { task: 'any' }] }],
  ['GET', '/v1/jobs'],
  ['GET', `/v1/jobs/${unknown}/result?wait=1s`],
  ['POST', `/v1/jobs/${unknown}/take`, { json: { id: 'mine' } }],
  ['GET', '/v1/tokens'],
  ['GET', '/v1/ready'],
]

test(
  'a store that is away is told of as 503, and no job is stored by halves',
  {
    skip: server === null,
  },
  async (t) => {
    const { errand, send, goAway, comeBack } = await open(t)
    const allAway = async (when: string): Promise<void> => {
      assert.equal((await send('GET', '/v1/health')).status, 200)
      await Promise.all(
        needy.map(async (request) => {
          const answer = await send(...request)
          const said = `${when}: ${request[0]} ${request[1]}: ${JSON.stringify(answer.body)}`
          assert.equal(answer.status, 503, said)
          assertProblem(answer)
          assert.ok(Number(answer.headers.get('retry-after')) >= 1, said)
        }),
      )
    }
    const isReady = async (): Promise<boolean> => (await send('GET', '/v1/ready')).status === 200

    await allAway('at the start')
    comeBack()
    await until(isReady)
    assert.equal((await send('POST', path, { json: 1 })).status, 201)
    // Each request has a group of its own, by which its jobs are counted.
    const groups = Array.from({ length: 40 }, (_, n) => `group-${n}`)
    let answers = 0
    const statuses = await Promise.all(
      groups.map(async (group) => {
        const json = [1, 2, 3].map((input) => ({ task: 'any', input, group }))
        const answer = await send('POST', '/v1/jobs', { json })
        if (++answers === 4) goAway()
        if (answer.status !== 201) assertProblem(answer)
        return answer.status
      }),
    )
    await allAway('in the middle')
    comeBack()
    await until(isReady)
    for (const [n, group] of groups.entries()) {
      const { length } = (await errand.jobs.list({ group })).jobs
      const whole = statuses[n] === 201 ? [3] : [0, 3]
      assert.ok(whole.includes(length), `${group}: ${statuses[n]}, and ${length} jobs`)
    }
    assert.ok(
      statuses.every((status) => status === 201 || status === 503),
      statuses.join(' '),
    )
    assert.ok(statuses.filter((status) => status === 201).length >= 4)
  },
)
