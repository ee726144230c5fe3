import assert from 'node:assert/strict'
import { networkInterfaces } from 'node:os'
import { test } from 'node:test'
import { createErrand, isErrandError, type ErrandErrorCode } from 'errand'
import { listen, manager, tokens, type ServerOptions } from 'errand/manager'
import { memory } from 'errand/memory'
import { answered, manage, status, until, Wire } from './harness.ts'

const path = '/v1/queues/default/tasks/hello/jobs'

interface Said {
  readonly host?: string
  readonly also?: readonly string[]
  readonly type?: string
  readonly version?: string
}

/** A request that adds a job, as a client says it. */
function lines(
  { host, also = [], type = 'application/json', version = '1.1' }: Said,
  port: number,
) {
  return [
    `POST ${path} HTTP/${version}`,
    `Host: ${host ?? `127.0.0.1:${port}`}`,
    `Content-Type: ${type}`,
    'Content-Length: 2',
    ...also,
  ]
}

const own = 'http://127.0.0.1:PORT'

/** What a program of this machine may say, and what a page, a rebound name or a proxy says. */
const said: readonly (readonly [what: string, said: Said, status: number])[] = [
  ['a program', {}, 201],
  ['a program that names localhost', { host: 'localhost' }, 201],
  ['a program that names LOCALHOST with a port', { host: 'LOCALHOST:8220' }, 201],
  ['a program that names ::1', { host: '[::1]:8220' }, 201],
  ['JSON with a charset', { type: 'application/json; charset=utf-8' }, 201],
  ['a page of its own', { also: [`Origin: ${own}`, 'Sec-Fetch-Site: same-origin'] }, 201],
  ['an old browser, a page of its own', { also: [`Origin: ${own}`] }, 201],
  ['a person who types the address', { also: ['Sec-Fetch-Site: none'] }, 201],
  ['a name that was pointed here', { host: 'evil.example:8220' }, 401],
  ['a name that begins well', { host: 'localhost.evil.example' }, 401],
  ['a name with a dot at its end', { host: 'localhost.' }, 401],
  ['another address of this machine', { host: '127.0.0.2' }, 401],
  ['no address', { host: '0.0.0.0:8220' }, 401],
  ['two names', { also: ['Host: evil.example'] }, 401],
  ['a page of somebody else', { also: ['Origin: https://evil.example'] }, 401],
  ['a page of another port', { also: ['Origin: http://127.0.0.1:3000'] }, 401],
  ['a page without an origin', { also: ['Origin: null'] }, 401],
  ['an origin that is none', { also: ['Origin: PORT'] }, 401],
  ['a page of another site', { also: ['Sec-Fetch-Site: cross-site'] }, 401],
  ['a page of another port, told by its site', { also: ['Sec-Fetch-Site: same-site'] }, 401],
  [
    'a page of another origin that forges one half',
    { also: ['Sec-Fetch-Site: same-origin', 'Origin: https://evil.example'] },
    401,
  ],
  ['a form', { type: 'application/x-www-form-urlencoded' }, 415],
  ['a form with files', { type: 'multipart/form-data; boundary=x' }, 415],
  ['a form of plain text', { type: 'text/plain' }, 415],
  ['a type that begins like JSON', { type: 'application/json5' }, 415],
  ['a proxy', { also: ['X-Forwarded-For: 203.0.113.9'] }, 401],
  ['a proxy by the standard', { also: ['Forwarded: for=203.0.113.9'] }, 401],
  ['a proxy that tells its name', { also: ['Via: 1.1 gate'] }, 401],
  ['a proxy that tells the address', { also: ['X-Real-IP: 203.0.113.9'] }, 401],
  ['a proxy that speaks HTTP/1.0', { version: '1.0' }, 401],
  ['a token that is none', { also: ['Authorization: Bearer errand_x'] }, 401],
]

test('without a token, only programs of this machine come in', async (context) => {
  const { errand, port } = await manage(context)
  for (const [what, one, wanted] of said) {
    const told = lines(one, port).map((line) => line.replaceAll('PORT', String(port)))
    assert.equal(await status(port, told, '{}'), wanted, what)
  }
  const letIn = said.filter(([, , wanted]) => wanted === 201).length
  assert.equal((await errand.jobs.counts())[0]?.count, letIn)
})

test('a page cannot read either: no answer allows another origin', async (context) => {
  const { port } = await manage(context)
  const headers = ['Host: 127.0.0.1', 'Origin: https://evil.example']
  const read = ['GET /v1/jobs/x HTTP/1.1', ...headers]
  const asks = [
    `OPTIONS ${path} HTTP/1.1`,
    ...headers,
    'Access-Control-Request-Method: POST',
    'Access-Control-Request-Headers: content-type',
  ]
  for (const [told, wanted] of [
    [read, 401],
    [asks, 405],
  ] as const) {
    const wire = new Wire(port)
    wire.say(`${told.join('\r\n')}\r\n\r\n`)
    const heard = await wire.until(/\r\n\r\n/)
    wire.socket.destroy()
    assert.match(heard, new RegExp(`^HTTP/1.1 ${wanted} `))
    assert.doesNotMatch(heard, /access-control/i)
    assert.match(heard, /cross-origin-resource-policy: same-origin/)
  }
})

test('once a token exists, this machine needs one too, and none again when all are revoked', async (context) => {
  const { errand, ask, port } = await manage(context)
  const { body } = await ask('POST', '/v1/tokens', { body: { scopes: ['enqueue', 'admin'] } })
  const { id, token } = body as { readonly id: string; readonly token: string }
  assert.equal(await status(port, lines({}, port), '{}'), 401)
  const bearer = { also: [`Authorization: Bearer ${token}`] }
  assert.equal(await status(port, lines({ ...bearer, host: 'jobs.example' }, port), '{}'), 201)
  assert.equal((await ask('DELETE', `/v1/tokens/${id}`, { token })).status, 204)
  assert.equal(await status(port, lines(bearer, port), '{}'), 401)
  assert.equal(await status(port, lines({}, port), '{}'), 201)
  assert.equal((await tokens(errand).list()).length, 0)
})

const address = Object.values(networkInterfaces())
  .flat()
  .find((one) => one?.family === 'IPv4' && !one.internal)?.address

test(
  'other machines need a token, whatever they name',
  { skip: address === undefined },
  async (context) => {
    const { errand, ask, port } = await manage(context, { host: address ?? '', plainHttp: true })
    const refused = await ask('POST', path, { body: {} })
    assert.equal(refused.status, 401)
    assert.match((refused.body as { readonly detail: string }).detail, /errand tokens create/)
    const wire = new Wire(port, address)
    wire.say(`${lines({ host: 'localhost' }, port).join('\r\n')}\r\n\r\n{}`)
    assert.match(await wire.until(/^HTTP\/1\.1 \d{3}/), / 401 /)
    wire.socket.destroy()
    const { token } = await tokens(errand).create({ scopes: ['enqueue'] })
    await until(async () => (await ask('POST', path, { token, body: {} })).status === 201)
  },
)

test('a handler in the server of somebody else lets nobody in by itself', async () => {
  const errand = createErrand({ store: memory() })
  const at = 'http://localhost/v1/jobs/x'
  const asked = async (
    access: Parameters<typeof manager>[1],
    headers: Record<string, string> = {},
  ): Promise<number> =>
    (await answered(await manager(errand, access).fetch(new Request(at, { headers })))).status
  assert.equal(await asked({}), 401)
  assert.equal(await asked({ access: 'open' }), 404)
  assert.equal(await asked({ access: () => null }), 401)
  assert.equal(await asked({ access: () => ({ scopes: ['read'] }) }), 404)
  assert.equal(await asked({ access: async () => ({ scopes: ['enqueue'] }) }), 403)
  // What a browser sends by itself, such as a cookie, must not work for pages of others.
  const foreign = { 'sec-fetch-site': 'cross-site' }
  assert.equal(await asked({ access: 'open' }, foreign), 403)
  assert.equal(await asked({ access: () => ({ scopes: ['read'] }) }, foreign), 403)
  const { token } = await tokens(errand).create({ scopes: ['read'] })
  const headers = { authorization: `Bearer ${token}` }
  assert.equal(await asked({}, headers), 404)
  assert.equal(await asked({ access: () => null }, headers), 404)
  assert.equal(await asked({ access: () => null }), 401)
  await errand.close()
})

test('a function for access that fails is told of, and lets nobody in', async () => {
  const errand = createErrand({ store: memory() })
  const told: string[] = []
  errand.on('warning', ({ code, message }) => told.push(`${code}: ${message}`))
  const { fetch } = manager(errand, {
    access: () => {
      throw new Error('no session store')
    },
  })
  const { status, body } = await answered(await fetch(new Request('http://localhost/v1/jobs/x')))
  assert.equal(status, 500)
  assert.doesNotMatch(JSON.stringify(body), /session/)
  assert.deepEqual(told, [
    'request-failed: GET /v1/jobs/{id} was answered with 500: Error: no session store',
  ])
  await errand.close()
})

test('a listener leaves the globals of the program as they are', async (context) => {
  const before = { request: Request, response: Response }
  const { ask } = await manage(context)
  assert.equal((await ask('GET', '/v1/jobs/x')).status, 404)
  assert.deepEqual({ request: Request, response: Response }, before)
})

test('a server that would let tokens travel open, or cannot listen, says what to do', async (context) => {
  const { errand, port } = await manage(context)
  const made = manager(errand)
  const wrong: readonly (readonly [ServerOptions, code: ErrandErrorCode, says: RegExp])[] = [
    [{ host: '0.0.0.0' }, 'invalid-option', /plain HTTP.*--plain-http/],
    [{ host: '::' }, 'invalid-option', /plain HTTP/],
    [{ tls: { cert: 'x', key: 'x' } }, 'invalid-option', /cannot be used/],
    [{ port }, 'server-unavailable', /is taken/],
    [{ port: 65_536 }, 'invalid-option', /0 to 65535/],
    [{ limits: { head: '2m', request: '1m' } }, 'invalid-option', /cannot be longer/],
    [{ maxConnections: 0 }, 'invalid-option', /whole number/],
  ]
  for (const [options, code, says] of wrong)
    await assert.rejects(listen(made, options), (error) => {
      assert.ok(isErrandError(error, code))
      assert.match(error.message, says)
      return true
    })
})
