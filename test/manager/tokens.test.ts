import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { isErrandError } from 'errand'
import { tokens, type Scope } from 'errand/manager'
import { memory } from 'errand/memory'
import { sqlite } from 'errand/sqlite'
import { scopes } from '../../src/manager/caller.ts'
import { routes } from '../../src/manager/routes/index.ts'
import type { Route } from '../../src/manager/route.ts'
import { manage, until, type Managed } from './harness.ts'

const work = '/v1/queues/default/tasks/hello/jobs'

const streams: ReadonlySet<string> = new Set(['streamEvents', 'store.watch'])

/** A path of a route whose parameters name nothing that exists. */
function pathOf({ path }: Route): string {
  return path.replaceAll(/\{\w+\}/g, 'x')
}

test('a token is shown once, and the store keeps its hash alone', async (context) => {
  const { errand, ask } = await manage(context)
  const made = await ask('POST', '/v1/tokens', { body: { scopes: ['read', 'admin', 'read'] } })
  assert.equal(made.status, 201)
  const { id, token, scopes: may, queues } = made.body as Record<string, string>
  assert.match(token ?? '', /^errand_[0-9a-f]{12}_[0-9a-f]{64}$/)
  assert.deepEqual([may, queues], [['read', 'admin'], null])
  const kept = await errand.store.listRecords({ prefix: '', after: null, limit: 100 })
  assert.equal(kept.length, 1)
  const secret = (token ?? '').slice(-64)
  assert.equal(JSON.stringify(kept).includes(secret), false)
  assert.equal(JSON.stringify(kept).includes(Buffer.from(secret, 'hex').toString('base64')), false)
  const listed = await ask('GET', '/v1/tokens', { token: token ?? '' })
  assert.equal(JSON.stringify(listed.body).includes(secret), false)
  const [first] = (listed.body as { readonly tokens: readonly { readonly id: string }[] }).tokens
  assert.equal(first?.id, id)
})

test('each route takes the scopes it names and no other', async (context) => {
  const { errand, ask } = await manage(context)
  const made = new Map<Scope, string>()
  for (const scope of scopes)
    made.set(scope, (await tokens(errand).create({ scopes: [scope] })).token)
  for (const route of routes) {
    // An answer that never ends is looked at in events.test.ts.
    if (streams.has(route.id)) continue
    for (const [scope, token] of made) {
      const body = route.body === undefined ? {} : { body: [] }
      const { status } = await ask(route.method, pathOf(route), { token, ...body })
      const isLetIn = route.scopes.length === 0 || route.scopes.includes(scope)
      assert.equal(
        status !== 403 && status !== 401,
        isLetIn,
        `${route.id} with ${scope}: ${status}`,
      )
    }
    if (route.scopes.length === 0) continue
    const { status, headers } = await ask(route.method, pathOf(route))
    assert.equal(status, 401, route.id)
    assert.match(headers.get('www-authenticate') ?? '', /^Bearer /)
  }
})

test('every GET is for reading, every change is not', () => {
  for (const { method, scopes: may, id } of routes) {
    // Whoever they are, they may sign out.
    if (id === 'signOut') continue
    if (method === 'GET' && may.length > 0)
      assert.ok(may.includes('read') || may.includes('admin'), id)
    else if (may.length > 0 && !id.startsWith('store.')) assert.ok(!may.includes('read'), id)
  }
})

test('what is no token of this store lets nobody in', async (context) => {
  const { errand, ask } = await manage(context)
  const { token, id } = await tokens(errand).create({ scopes: ['enqueue'] })
  const other = await tokens({ store: memory() }).create({ scopes: ['enqueue'] })
  const last = token.endsWith('0') ? '1' : '0'
  const forged: readonly string[] = [
    `Bearer ${token.slice(0, -1)}${last}`,
    `Bearer ${token}0`,
    `Bearer ${token.slice(0, -1)}`,
    `Bearer errand_${id}_${other.token.slice(-64)}`,
    `Bearer ${other.token}`,
    `Bearer ${token.toUpperCase()}`,
    `Bearer ${token} ${token}`,
    `Bearer`,
    `Basic ${Buffer.from(`errand:${token}`).toString('base64')}`,
    token,
    'Bearer __proto__',
    'Bearer errand_000000000000_'.padEnd(100, '0'),
  ]
  for (const authorization of forged) {
    const { status } = await ask('POST', work, { body: {}, headers: { authorization } })
    assert.equal(status, 401, authorization)
  }
  for (const scheme of ['Bearer', 'bearer', 'BEARER']) {
    const headers = { authorization: `${scheme} ${token}` }
    assert.equal((await ask('POST', work, { body: {}, headers })).status, 201)
  }
  assert.deepEqual((await errand.jobs.counts())[0]?.count, 3)
})

test('a token for one queue adds jobs to no other', async (context) => {
  const { errand, ask } = await manage(context)
  const { token } = await tokens(errand).create({ scopes: ['enqueue', 'read'], queues: ['mail'] })
  const asked = await ask('POST', '/v1/queues/mail/tasks/mail/jobs', { token, body: {} })
  assert.equal(asked.status, 201)
  assert.equal((await ask('POST', work, { token, body: {} })).status, 403)
  const { id } = await errand.enqueue('hello', {})
  assert.equal((await ask('GET', `/v1/jobs/${id}`, { token })).status, 404)
})

const wrong: readonly (readonly [body: unknown, says: RegExp])[] = [
  [{}, /scopes must be a list/],
  [{ scopes: [] }, /needs a scope/],
  [{ scopes: ['reed'] }, /Did you mean read\?/],
  [{ scopes: ['toString'] }, /Scopes are/],
  [{ scopes: ['read'], queues: [] }, /no queue/],
  [{ scopes: ['read'], queues: 'mail' }, /must be a list/],
  [{ scopes: ['read'], queues: ['\u0000'] }, /control character/],
  [{ scopes: ['admin'], queues: ['mail'] }, /takes no queues/],
  [{ scopes: ['read'], name: 'a\nb' }, /control character/],
  [{ scopes: ['read'], hash: '0' }, /hash/],
  [[], /The body is an object/],
  ['read', /The body is an object/],
]

test('a token that cannot be meant is refused, and says why', async (context) => {
  const { errand, ask } = await manage(context)
  for (const [body, says] of wrong) {
    const { status, body: problem } = await ask('POST', '/v1/tokens', { body })
    assert.equal(status, 400, JSON.stringify(body))
    assert.match((problem as { readonly detail: string }).detail, says)
  }
  assert.deepEqual(await tokens(errand).list(), [])
})

test('the store that workers reach shows no token, takes none and drops none', async (context) => {
  const { errand, ask } = await manage(context)
  const { id } = await tokens(errand).create({ scopes: ['admin'] })
  const { token } = await tokens(errand).create({ scopes: ['work'] })
  const call = (name: string, ...body: readonly unknown[]): ReturnType<Managed['ask']> =>
    ask('POST', `/v1/store/${name}`, { token, body })
  const key = `token:${id}`
  const listed = await call('listRecords', { prefix: '', after: null, limit: 1 })
  assert.deepEqual(listed.body, { answer: [] })
  const prefix = await call('listRecords', { prefix: 'token:', after: null, limit: 9 })
  assert.deepEqual(prefix.body, { answer: [] })
  assert.equal((await call('getRecords', [key])).status, 403)
  assert.equal((await call('putRecords', [{ key, text: null }])).status, 403)
  assert.equal((await call('putRecords', [{ key: 'token:000000000000', text: '{}' }])).status, 403)
  const advance = [{ key, from: null, to: null, jobs: [] }]
  assert.equal((await call('insert', [], { advance })).status, 403)
  assert.equal((await tokens(errand).list()).length, 2)
  const others = [1, 2, 3].map((n) => ({ key: `u${n}`, text: '' }))
  await errand.store.putRecords([...others, { key: 'a', text: '' }])
  const page = await call('listRecords', { prefix: '', after: 'a', limit: 3 })
  const keys = (page.body as { readonly answer: readonly { readonly key: string }[] }).answer
  assert.deepEqual(
    keys.map((one) => one.key),
    ['u1', 'u2', 'u3'],
  )
})

function file(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'errand-tokens-'))
  context.after(() => rmSync(folder, { recursive: true, force: true }))
  return join(folder, 'errand.db')
}

test(
  'several managers of one store know a token, and its end',
  { timeout: 20_000 },
  async (context) => {
    const path = file(context)
    const [one, two] = await Promise.all([1, 2].map(() => manage(context, { store: sqlite(path) })))
    assert.ok(one !== undefined && two !== undefined)
    assert.equal((await two.ask('GET', '/v1/jobs/x')).status, 404)
    const admin = await tokens(one.errand).create({ scopes: ['admin'] })
    const made = await one.ask('POST', '/v1/tokens', {
      token: admin.token,
      body: { scopes: ['read', 'enqueue'] },
    })
    const { id, token } = made.body as { readonly id: string; readonly token: string }
    assert.equal((await one.ask('GET', '/v1/jobs/x', { token })).status, 404)
    await until(async () => (await two.ask('GET', '/v1/jobs/x', { token })).status === 404)
    const job = await two.ask('POST', work, { token, body: {} })
    const { id: jobId } = job.body as { readonly id: string }
    assert.equal((await one.ask('GET', `/v1/jobs/${jobId}`, { token })).status, 200)
    const revoked = await two.ask('DELETE', `/v1/tokens/${id}`, { token: admin.token })
    assert.equal(revoked.status, 204)
    assert.equal((await two.ask('GET', '/v1/jobs/x', { token })).status, 401)
    await until(async () => (await one.ask('GET', '/v1/jobs/x', { token })).status === 401)
    assert.equal((await one.ask('DELETE', `/v1/tokens/${id}`, { token: admin.token })).status, 404)
  },
)

test('there is a most of tokens, and forged ones cost the store little', async (context) => {
  const store = memory()
  const { errand, ask } = await manage(context, { store })
  const writes = Array.from({ length: 1_000 }, (_, n) => ({
    key: `token:${String(n).padStart(12, '0')}`,
    text: '{}',
  }))
  await store.putRecords(writes)
  await assert.rejects(tokens(errand).create({ scopes: ['read'] }), (error) =>
    isErrandError(error, 'overloaded'),
  )
  assert.equal((await ask('GET', '/v1/jobs/x')).status, 401)
  let reads = 0
  const listRecords = store.listRecords.bind(store)
  store.listRecords = async (query) => {
    reads++
    return listRecords(query)
  }
  for (let n = 0; n < 50; n++) {
    const token = `errand_${String(n).padStart(12, '0')}_${'0'.repeat(64)}`
    assert.equal((await ask('GET', '/v1/jobs/x', { token })).status, 401)
  }
  assert.ok(reads <= 10, `${reads} reads`)
})
