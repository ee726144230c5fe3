/** Whatever comes in: the right status with a problem document, nothing stored by halves, no crash. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { after, before, suite } from 'node:test'
import { listen, manager, type ManagerServer } from 'errand/manager'
import { memory } from 'errand/memory'
import { sqlite } from 'errand/sqlite'
import { api, sendTo, type Api, type Send } from './harness.ts'
import { assertProblem, sweep, unknown } from './hostile.ts'

const path = '/v1/queues/default/tasks/add/jobs'

suite('bad input', () => {
  let folder: string
  let one: Api
  let server: ManagerServer
  let send: Send

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'errand-manager-'))
    one = api(sqlite(join(folder, 'errand.db')))
    server = await listen(one.manager, { port: 0 })
    send = sendTo(fetch, server.url)
  })

  after(async () => {
    await server.close()
    await one[Symbol.asyncDispose]()
    await rm(folder, { recursive: true })
  })

  const cases: readonly (readonly [
    name: string,
    request: Parameters<Send>,
    status: number,
    code: string,
  ])[] = [
    ['no such path', ['GET', '/v1/nothing'], 404, 'not-found'],
    ['a method that a path does not take', ['DELETE', '/v1/queues'], 405, 'method-not-allowed'],
    ['no such task', ['POST', path.replace('add', 'nope'), { json: {} }], 404, 'unknown-task'],
    ['no such job', ['GET', `/v1/jobs/${unknown}`], 404, 'job-missing'],
    ['an id that is none', ['GET', '/v1/jobs/1'], 404, 'job-missing'],
    ['no such schedule', ['POST', '/v1/schedules/x/pause'], 404, 'unknown-schedule'],
    ['no such run', ['GET', `/v1/workflows/${unknown}`], 404, 'not-found'],
    [
      'no such workflow',
      ['POST', '/v1/workflows', { json: { workflow: 'x' } }],
      404,
      'unknown-task',
    ],
    ['no such singleton', ['POST', '/v1/singletons/x/trigger'], 404, 'not-found'],
    ['a body that is no JSON', ['POST', path, { raw: '{"a":' }], 400, 'not-json'],
    ['half an emoji for a number', ['POST', path, { raw: '"\ud800"' }], 422, 'invalid-input'],
    [
      'a body of text',
      ['POST', path, { raw: 'a=1', headers: { 'content-type': 'text/plain' } }],
      415,
      'unsupported-media-type',
    ],
    [
      'a form',
      [
        'POST',
        path,
        { raw: 'a=1', headers: { 'content-type': 'application/x-www-form-urlencoded' } },
      ],
      415,
      'unsupported-media-type',
    ],
    [
      'a body that nests too deep',
      ['POST', path, { raw: '['.repeat(100_000) + ']'.repeat(100_000) }],
      400,
      'not-json',
    ],
    [
      'an input that nests too deep',
      ['POST', '/v1/queues/q/tasks/any/jobs', { raw: '['.repeat(1_050) + ']'.repeat(1_050) }],
      400,
      'not-json',
    ],
    [
      'an input that is too large',
      ['POST', '/v1/queues/q/tasks/any/jobs', { json: 'x'.repeat(1_100_000) }],
      413,
      'too-large',
    ],
    [
      'a body that is too large',
      ['POST', '/v1/queues/q/tasks/any/jobs', { json: 'x'.repeat(9_000_000) }],
      413,
      'too-large',
    ],
    ['an input of a wrong type', ['POST', path, { json: { a: '1', b: 2 } }], 422, 'invalid-input'],
    ['no input where one is needed', ['POST', path], 422, 'invalid-input'],
    [
      'a parameter that nobody knows',
      ['POST', `${path}?dely=1h`, { json: {} }],
      400,
      'invalid-option',
    ],
    [
      'a parameter twice',
      ['POST', `${path}?delay=1h&delay=2h`, { json: {} }],
      400,
      'invalid-option',
    ],
    [
      'a delay that is none',
      ['POST', `${path}?delay=soon`, { json: { a: 1, b: 1 } }],
      400,
      'invalid-option',
    ],
    [
      'a delay of ages',
      ['POST', `${path}?delay=1e300`, { json: { a: 1, b: 1 } }],
      400,
      'invalid-option',
    ],
    [
      'a negative delay',
      ['POST', `${path}?delay=-1s`, { json: { a: 1, b: 1 } }],
      400,
      'invalid-option',
    ],
    [
      'delay and runAt',
      ['POST', `${path}?delay=1h&runAt=2030-01-01T00:00:00Z`, { json: { a: 1, b: 1 } }],
      400,
      'invalid-option',
    ],
    [
      'a time that is none',
      ['POST', `${path}?runAt=tomorrow`, { json: { a: 1, b: 1 } }],
      400,
      'invalid-option',
    ],
    [
      'a time without a zone',
      ['POST', `${path}?runAt=2030-01-01T00:00:00`, { json: { a: 1, b: 1 } }],
      400,
      'invalid-option',
    ],
    [
      'a time of ages',
      ['POST', `${path}?runAt=9999-01-01T00:00:00Z`, { json: { a: 1, b: 1 } }],
      400,
      'invalid-option',
    ],
    [
      'a priority beyond',
      ['POST', `${path}?priority=1001`, { json: { a: 1, b: 1 } }],
      400,
      'invalid-option',
    ],
    [
      'a priority of digits',
      ['POST', `${path}?priority=${'9'.repeat(40)}`, { json: {} }],
      400,
      'invalid-option',
    ],
    [
      'a key with NUL',
      ['POST', `${path}?key=%00`, { json: { a: 1, b: 1 } }],
      400,
      'invalid-option',
    ],
    [
      'too many tags',
      [
        'POST',
        `${path}?${'tag=a1&'.repeat(30).replaceAll(/a1/g, () => `t${Math.random()}`)}`,
        { json: { a: 1, b: 1 } },
      ],
      400,
      'invalid-option',
    ],
    [
      'a wait that is too long',
      ['POST', `${path}?wait=31s`, { json: { a: 1, b: 1 } }],
      400,
      'invalid-option',
    ],
    [
      'an empty Idempotency-Key',
      ['POST', path, { json: { a: 1, b: 1 }, headers: { 'idempotency-key': ' ' } }],
      400,
      'invalid-option',
    ],
    [
      'an Idempotency-Key for a list',
      ['POST', '/v1/jobs', { json: [], headers: { 'idempotency-key': 'k' } }],
      400,
      'invalid-option',
    ],
    ['a list that is none', ['POST', '/v1/jobs', { json: { task: 'add' } }], 422, 'invalid-input'],
    ['no list', ['POST', '/v1/jobs'], 422, 'invalid-input'],
    ['an entry that is none', ['POST', '/v1/jobs', { json: [null] }], 422, 'invalid-input'],
    [
      'a header of NUL',
      ['POST', '/v1/jobs', { json: [{ task: 'any', headers: { a: '\u0000' } }] }],
      400,
      'invalid-option',
    ],
    ['a state that is none', ['GET', '/v1/jobs?state=done'], 400, 'invalid-option'],
    ['a limit of none', ['GET', '/v1/jobs?limit=0'], 400, 'invalid-option'],
    ['a limit beyond', ['GET', '/v1/jobs?limit=1001'], 400, 'invalid-option'],
    ['a cursor that is none', ['GET', "/v1/jobs?after=1'"], 400, 'invalid-option'],
    ['a search that is none', ['GET', '/v1/jobs?input=x'], 400, 'invalid-option'],
    ['two searches', ['GET', '/v1/jobs?input=a=1&output=a=1'], 400, 'invalid-option'],
    ['a take without an id', ['POST', `/v1/jobs/${unknown}/take`], 422, 'invalid-input'],
    [
      'a take with an empty id',
      ['POST', `/v1/jobs/${unknown}/take`, { json: { id: '' } }],
      422,
      'invalid-input',
    ],
    [
      'a reason of a wrong type',
      ['POST', `/v1/jobs/${unknown}/cancel`, { json: { reason: 1 } }],
      422,
      'invalid-input',
    ],
    [
      'a field that nobody knows',
      ['POST', `/v1/jobs/${unknown}/cancel`, { json: { reason: 'x', reasn: 'x' } }],
      422,
      'invalid-input',
    ],
    ['a queue with NUL', ['POST', '/v1/queues/%00/pause'], 400, 'invalid-option'],
    [
      'a queue that is too long',
      ['POST', `/v1/queues/${'q'.repeat(201)}/pause`],
      400,
      'invalid-option',
    ],
    [
      'a backfill backwards',
      [
        'POST',
        '/v1/schedules/x/backfill',
        { json: { from: '2030-01-02T00:00:00Z', to: '2030-01-01T00:00:00Z' } },
      ],
      400,
      'invalid-option',
    ],
    [
      'streams of jobs and of queues',
      ['GET', `/v1/events?job=${unknown}&queue=q`],
      400,
      'invalid-option',
    ],
    ['a stream of what is no job', ['GET', '/v1/events?job=x'], 400, 'invalid-option'],
  ]

  for (const [name, request, status, code] of cases) {
    test(`${name}: ${status} ${code}`, async () => {
      const answer = await send(...request)
      assertProblem(answer)
      const { code: told, detail } = answer.body as { code: string; detail: string }
      assert.deepEqual([answer.status, told], [status, code], detail)
    })
  }

  test('a fault of the manager is told to the app, and to the caller without its words', async () => {
    const store = memory()
    const fault = new TypeError('the secret of the store')
    const broken = new Proxy(store, {
      get(target, name) {
        if (name === 'get') return () => Promise.reject(fault)
        const value: unknown = Reflect.get(target, name)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
    await using own = api(broken)
    const told: unknown[] = []
    own.errand.on('warning', (warning) => {
      if (warning.code === 'request-failed') told.push(warning.route, warning.error)
    })
    const answer = await own.send('GET', `/v1/jobs/${unknown}`)
    assertProblem(answer)
    assert.deepEqual([answer.status, (answer.body as { code: string }).code], [500, 'internal'])
    assert.ok(!JSON.stringify(answer.body).includes('secret'))
    assert.deepEqual(told, ['/v1/jobs/{id}', fault])
  })

  test('manager() takes an app, and says so', () => {
    assert.throws(() => manager({} as never), { code: 'invalid-option' })
  })

  test('paths that no URL has are answered over the wire, too', async () => {
    for (const [target, status] of [
      ['/%', 404],
      ['/v1/jobs/%', 404],
      ['/v1/jobs/%E0%A4%A', 404],
      ['/v1/jobs/%2e%2e', 404],
      ['/v1/queues/%ff%fe', 200],
      ['/v1/queues/a%2Fb', 200],
      ['/v1/queues/a%252Fb', 200],
      ['//v1/queues', 404],
      ['/v1/queues/', 404],
      ['/v1/jobs?limit=%', 400],
      ['/v1/jobs?%=%', 400],
    ] as const) {
      assert.equal(await statusOverWire(server, target), status, target)
    }
    const named = await send('GET', '/v1/queues/a%252Fb')
    assert.equal((named.body as { name: string }).name, 'a%2Fb')
  })

  test('hostile texts and numbers in every parameter and field of every route: no 5xx, nothing stored', async () => {
    await using swept = api()
    await sweep(swept)
  })
})

/** Sends a request line as it is, which no client would. */
async function statusOverWire({ url }: ManagerServer, target: string): Promise<number> {
  const { hostname, port, host } = new URL(url)
  const socket = connect(Number(port), hostname)
  socket.write(`GET ${target} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`)
  let text = ''
  socket.on('data', (chunk) => (text += String(chunk)))
  await once(socket, 'close')
  return Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1])
}
