/** Orders to workers over HTTP. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { manager } from 'errand/manager'
import { controlKey } from '../../src/core/control.ts'
import type { Scope } from '../../src/manager/caller.ts'
import { api, sendTo, type Send } from './harness.ts'

function as(errand: Parameters<typeof manager>[0], scopes: Scope[], queues?: string[]): Send {
  const access = () => ({ scopes, id: 't1', ...(queues === undefined ? {} : { queues }) })
  return sendTo(manager(errand, { access }).fetch)
}

test('orders are given, listed and ended, and reach a worker', async (t) => {
  await using one = api()
  const { errand } = one
  const send = as(errand, ['operate', 'read'])
  const worker = errand.worker({ group: 'api' })
  t.after(() => worker.stop())
  await worker.start()
  const paused = new Promise((resolve) => errand.on('worker-paused', resolve))
  const json = { group: 'api', note: 'upgrade' }
  assert.equal((await send('POST', '/v1/control/pause', { json })).status, 204)
  await paused
  const { body } = await send('GET', '/v1/control')
  const [order, ...others] = (body as { orders: Record<string, unknown>[] }).orders
  assert.deepEqual(others, [])
  assert.deepEqual(
    { ...order, at: null },
    { verb: 'pause', target: { group: 'api' }, at: null, by: 'token as:t1', note: 'upgrade' },
  )
  const resumed = new Promise((resolve) => errand.on('worker-resumed', resolve))
  await send('POST', '/v1/control/resume', { json: { group: 'api' } })
  await resumed
  const shown = (await send('GET', '/v1/workers')).body as {
    workers: { group: string; paused: string[] }[]
  }
  assert.deepEqual(
    shown.workers.map(({ group }) => group),
    ['api'],
  )
  const ended = new Promise((resolve) => errand.on('worker-stopped', resolve))
  await send('POST', '/v1/control/drain', { json: { all: true } })
  await ended
})

test('what cannot be obeyed is refused, and nothing is stored', async () => {
  await using one = api()
  const { errand, send } = one
  for (const [verb, json] of [
    ['pause', {}],
    ['pause', { group: 'a', all: true }],
    ['pause', { group: '' }],
    ['pause', { all: false }],
    ['stop', { queue: 'default' }],
    ['stop', { task: 'add' }],
    ['stop', { worker: 'nobody' }],
    ['pause', { group: 'half \ud83d' }],
    ['resume', { all: true, note: 'x' }],
    ['pause', { all: true, note: 'x'.repeat(501) }],
    ['pause', { all: true, note: null }],
    ['pause', { queue: 5 }],
    ['pause', { queue: null }],
    ['pause', { grup: 'a' }],
    ['pause', { queue: 'a', grup: 'b' }],
    ['drain', { worker: {} }],
    ['restart', []],
    ['resume', null],
    ['resume', 'all'],
  ] as const) {
    const { status } = await send('POST', `/v1/control/${verb}`, { json })
    assert.ok(status >= 400 && status < 500, `${verb} ${JSON.stringify(json)}: ${status}`)
  }
  assert.deepEqual(await errand.store.getRecords([controlKey]), [null])
})

test('a token for some queues pauses those, and tells no worker what to do', async () => {
  await using one = api()
  const { errand } = one
  const send = as(errand, ['operate', 'read'], ['default'])
  const post = async (verb: string, json: object): Promise<number> =>
    (await send('POST', `/v1/control/${verb}`, { json })).status
  assert.equal(await post('pause', { queue: 'default' }), 204)
  assert.equal(await post('pause', { queue: 'other' }), 403)
  assert.equal(await post('pause', { task: 'add' }), 403)
  assert.equal(await post('stop', { all: true }), 403)
  await errand.control.pause({ queue: 'other' })
  await errand.control.pause({ group: 'api' })
  const { orders } = (await send('GET', '/v1/control')).body as { orders: { target: object }[] }
  assert.deepEqual(
    orders.map(({ target }) => target),
    [{ queue: 'default' }],
  )
})

test('a token that may work but not operate writes no orders as a record', async () => {
  await using one = api()
  const { errand } = one
  const write = [[{ key: controlKey, text: '{"form":1,"orders":[]}' }]]
  const put = async (scopes: Scope[]): Promise<number> =>
    (await as(errand, scopes)('POST', '/v1/store/putRecords', { json: write })).status
  assert.equal(await put(['work']), 403)
  assert.deepEqual(await errand.store.getRecords([controlKey]), [null])
  const advance = { advance: [{ key: controlKey, from: null, to: 'x', jobs: [] }] }
  const inserted = await as(errand, ['work'])('POST', '/v1/store/insert', { json: [[], advance] })
  assert.equal(inserted.status, 403)
  assert.equal(await put(['operate']), 200)
})
