import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test, type TestContext } from 'node:test'
import { createErrand } from 'errand'
import { manager, tokens } from 'errand/manager'
import { memory } from 'errand/memory'
import { VirtualClock } from 'errand/testing'
import { json, type Route } from '../../src/manager/route.ts'
import { answered, manage, status, Wire, type Managed } from './harness.ts'

const path = '/v1/queues/default/tasks/hello/jobs'
const limit = 100_000

function head(length: string, ...also: readonly string[]): string {
  const lines = [
    `POST ${path} HTTP/1.1`,
    'Host: localhost',
    'Content-Type: application/json',
    length,
    ...also,
  ]
  return `${lines.join('\r\n')}\r\n\r\n`
}

/** What a client sends, and how it is answered. */
const bodies: readonly (readonly [what: string, request: string, status: number])[] = [
  ['a body of the largest size', head(`Content-Length: ${limit}`) + quoted(limit), 201],
  ['a byte more', head(`Content-Length: ${limit + 1}`) + quoted(limit + 1), 413],
  ['a length beyond all numbers', head(`Content-Length: 99999999999999999999`), 400],
  ['a length that lies', head(`Content-Length: ${2 ** 40}`), 413],
  ['a length that is none', head('Content-Length: two'), 400],
  ['pieces', head('Transfer-Encoding: chunked') + pieces('"a', 'b"'), 201],
  ['pieces that are too many', head('Transfer-Encoding: chunked') + chunk(quoted(limit + 1)), 413],
  [
    'a length and pieces, as smugglers send them',
    `${head('Content-Length: 3', 'Transfer-Encoding: chunked')}${pieces('1')}`,
    400,
  ],
  ['no UTF-8', `${head('Content-Length: 3')}"\xff"`, 400],
  ['half of a character', `${head('Content-Length: 4')}"\xc3""`, 400],
  ['no JSON', `${head('Content-Length: 2')}{'`, 400],
  ['two values', `${head('Content-Length: 3')}1 2`, 400],
  ['what is deep', head('Content-Length: 500') + '['.repeat(250) + ']'.repeat(250), 201],
  ['what is too deep', head('Content-Length: 2400') + '['.repeat(1_200) + ']'.repeat(1_200), 400],
  ['brackets in a text', `${head('Content-Length: 2002')}"${'['.repeat(2_000)}"`, 201],
  ['nothing', head('Content-Length: 0'), 201],
  ['an empty piece', head('Transfer-Encoding: chunked') + pieces(), 201],
]

function quoted(bytes: number): string {
  return `"${'x'.repeat(bytes - 2)}"`
}

function chunk(text: string): string {
  return `${text.length.toString(16)}\r\n${text}\r\n`
}

function pieces(...texts: readonly string[]): string {
  return `${texts.map(chunk).join('')}0\r\n\r\n`
}

async function answerTo(port: number, request: string): Promise<number> {
  const wire = new Wire(port)
  wire.say(request)
  const heard = await wire.until(/^HTTP\/1\.1 \d{3}[^]*\r\n\r\n/)
  wire.socket.destroy()
  return Number(heard.slice(9, 12))
}

test('a body is JSON of a bounded size, however it is sent', async (context) => {
  const { errand, port } = await manage(context, { maxBody: limit })
  for (const [what, request, wanted] of bodies)
    assert.equal(await answerTo(port, request), wanted, what)
  const stored = bodies.filter(([, , wanted]) => wanted === 201).length
  assert.equal((await errand.jobs.counts())[0]?.count, stored)
})

test('an endless body is ended at the bound, and what was read is forgotten', async (context) => {
  const { ask, port } = await manage(context, { maxBody: 1_000_000 })
  for (let round = 0; round < 20; round++) {
    const wire = new Wire(port)
    wire.say(head('Transfer-Encoding: chunked'))
    const more = (): void => {
      if (!wire.socket.destroyed) wire.socket.write(chunk('x'.repeat(60_000)), 'latin1', more)
    }
    more()
    assert.match(await wire.until(/^HTTP\/1\.1 \d{3}/), / 413 /)
    wire.socket.destroy()
  }
  assert.equal((await ask('POST', path, { body: 'x'.repeat(900_000) })).status, 201)
})

test('a body that comes too slowly is answered with 408', async () => {
  const clock = new VirtualClock()
  const errand = createErrand({ store: memory({ clock }), queues: { '*': {} } })
  const { fetch } = manager(errand, { access: 'open' })
  const reading = Promise.withResolvers<void>()
  const slow = new ReadableStream<Uint8Array>({
    start: (controller) => controller.enqueue(Buffer.from('"')),
    pull: () => reading.resolve(),
  })
  const request = new Request(`http://localhost${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: slow,
    duplex: 'half',
  })
  const answer = fetch(request)
  await reading.promise
  await clock.advance(30_000)
  const { status, body } = await answered(await answer)
  assert.equal(status, 408)
  assert.match((body as { readonly detail: string }).detail, /took longer than 30 s/)
  await errand.close()
})

const quick = { head: 100, request: 200, idle: 100, read: 200 }

test('slow heads, slow bodies, silent and idle connections are ended', async (context) => {
  const { port } = await manage(context, { limits: quick })
  const slow = ['', 'POST / HTTP/1.1\r\nHost: loc', `${head('Content-Length: 5')}"`]
  for (const text of slow) {
    const wire = new Wire(port)
    if (text !== '') wire.say(text)
    await wire.closed
    assert.match(wire.heard, /^HTTP\/1\.1 408 [^]*"code":"timeout"/, text)
  }
  const idle = new Wire(port)
  idle.say('GET /v1/jobs/x HTTP/1.1\r\nHost: localhost\r\n\r\n')
  await idle.closed
  assert.match(idle.heard, /^HTTP\/1\.1 404 /)
})

test('a client that does not read its answer is let go', async (context) => {
  const { port } = await manage(context, { limits: quick, routes: [enormous] })
  const wire = new Wire(port)
  wire.socket.pause()
  wire.say('GET /enormous HTTP/1.1\r\nHost: localhost\r\n\r\n')
  await once(wire.socket, 'connect')
  // It learns of the end only when it reads; the manager has let go before.
  await gone.promise
  wire.socket.destroy()
})

const gone = Promise.withResolvers<void>()
const plain = { tag: 'test', summary: '', answers: {}, scopes: ['read'] } as const

const enormous: Route = {
  ...plain,
  method: 'GET',
  path: '/enormous',
  id: 'enormous',
  handle({ request }) {
    request.signal.addEventListener('abort', () => gone.resolve())
    return json('x'.repeat(64_000_000))
  },
}

/** Heads, each of them refused with its status. */
const heads: readonly (readonly [what: string, lines: readonly string[], status: number])[] = [
  ['no request', ['hello'], 400],
  ['another protocol', ['GET / HTTP/9.9', 'Host: localhost'], 400],
  ['no host', ['GET /v1/jobs/x HTTP/1.1'], 400],
  ['a host that is none', ['GET /v1/jobs/x HTTP/1.1', 'Host: a b'], 400],
  ['headers too long', ['GET / HTTP/1.1', 'Host: localhost', `X: ${'x'.repeat(17_000)}`], 431],
  [
    'headers too many',
    ['GET / HTTP/1.1', 'Host: localhost', ...Array.from({ length: 100 }, (_, n) => `X-${n}: x`)],
    431,
  ],
  ['a path too long', [`GET /${'x'.repeat(17_000)} HTTP/1.1`, 'Host: localhost'], 431],
  ['a path out of the root', ['GET /../../etc/passwd HTTP/1.1', 'Host: localhost'], 404],
  ['a broken escape', ['GET /v1/jobs/%E0%A4%A HTTP/1.1', 'Host: localhost'], 404],
  ['a method that there is not', ['BREW /v1/jobs/x HTTP/1.1', 'Host: localhost'], 400],
  ['a tunnel', ['CONNECT localhost:22 HTTP/1.1', 'Host: localhost'], 0],
]

test('heads that are none, too long or too many are refused, and the next is served', async (context) => {
  const { ask, port } = await manage(context)
  for (const [what, lines, wanted] of heads) {
    if (wanted === 0) {
      const wire = new Wire(port)
      wire.say(`${lines.join('\r\n')}\r\n\r\n`)
      await wire.closed
      assert.equal(wire.heard, '', what)
    } else assert.equal(await status(port, lines), wanted, what)
  }
  assert.equal((await ask('POST', path, { body: {} })).status, 201)
})

test('connections beyond the bound are closed, and their places are free again', async (context) => {
  const { port } = await manage(context, { maxConnections: 50 })
  const wires = Array.from({ length: 50 }, () => new Wire(port))
  const request = 'GET /v1/jobs/x HTTP/1.1\r\nHost: localhost\r\n\r\n'
  for (const wire of wires) wire.say(request)
  await Promise.all(wires.map((wire) => wire.until(/^HTTP\/1\.1 404/)))
  const more = new Wire(port)
  await more.closed
  assert.equal(more.heard, '')
  wires[0]?.socket.destroy()
  await wires[0]?.closed
  for (;;) {
    const again = new Wire(port)
    again.say(request)
    const isServed = await again.until(/^HTTP\/1\.1 404/).then(
      () => true,
      () => false,
    )
    again.socket.destroy()
    if (isServed) break
  }
  for (const { socket } of wires) socket.destroy()
})

test('thousands of connections that say nothing keep nobody out, and are ended', async (context) => {
  const { port } = await manage(context, { limits: { head: 3_000, request: 4_000 } })
  const wires: Wire[] = []
  for (let round = 0; round < 10; round++) {
    // No more at once than the queue of connections takes. The request that comes behind them is answered.
    wires.push(...Array.from({ length: 250 }, () => new Wire(port)))
    await Promise.all(wires.slice(-250).map(({ socket }) => once(socket, 'connect')))
    assert.equal(await answerTo(port, head('Content-Length: 2') + '{}'), 201)
  }
  await Promise.all(wires.map(({ closed }) => closed))
  assert.equal(await answerTo(port, head('Content-Length: 2') + '{}'), 201)
})

/** A route that waits until the test lets it go. */
function waiting(context: TestContext): { readonly route: Route; readonly began: Promise<void> } {
  const began = Promise.withResolvers<void>()
  const over = Promise.withResolvers<void>()
  context.after(() => over.resolve())
  const handle: Route['handle'] = async ({ signal }) => {
    signal.addEventListener('abort', () => over.resolve())
    began.resolve()
    await over.promise
    return json([])
  }
  return {
    route: { ...plain, method: 'GET', path: '/wait', id: 'wait', handle },
    began: began.promise,
  }
}

test('requests beyond the bound are told to come again', async (context) => {
  const { route, began } = waiting(context)
  const { ask } = await manage(context, { maxRequests: 1, routes: [route] })
  void ask('GET', '/wait').catch(() => undefined)
  await began
  const { status, headers, body } = await ask('GET', '/wait')
  assert.equal(status, 503)
  assert.equal((body as { readonly code: string }).code, 'overloaded')
  assert.ok(Number(headers.get('retry-after')) >= 1)
})

test('the rate of each token is limited, and the answers say how far', async (context) => {
  const clock = new VirtualClock()
  const { errand, ask } = await manage(context, {
    store: memory({ clock }),
    rateLimit: { requests: 2, per: '1m' },
  })
  const get = (token?: string): ReturnType<Managed['ask']> =>
    ask('GET', '/v1/jobs/x', token === undefined ? {} : { token })
  const first = await get()
  assert.equal(first.headers.get('ratelimit-policy'), '"default";q=2;w=60')
  assert.equal(first.headers.get('ratelimit'), '"default";r=1;t=60')
  await clock.advance(20_000)
  assert.equal((await get()).headers.get('ratelimit'), '"default";r=0;t=40')
  const third = await get()
  assert.equal(third.status, 429)
  assert.equal(third.headers.get('retry-after'), '40')
  assert.equal(third.headers.get('ratelimit'), '"default";r=0;t=40')
  const { token } = await tokens(errand).create({ scopes: ['read'] })
  await clock.advance(2_000)
  assert.equal((await get(token)).status, 404)
  await clock.advance(38_000)
  assert.equal((await get(token)).headers.get('ratelimit'), '"default";r=1;t=60')
})

test('every answer carries the headers that keep it from being a page', async (context) => {
  const { ask } = await manage(context)
  const answers = [
    await ask('POST', path, { body: {} }),
    await ask('GET', '/v1/jobs/x'),
    await ask('GET', '/nowhere'),
    await ask('PUT', '/v1/jobs/x'),
    await ask('GET', '/v1/jobs/x', { headers: { origin: 'https://evil.example' } }),
  ]
  assert.deepEqual(
    answers.map(({ status }) => status),
    [201, 404, 404, 405, 401],
  )
  for (const { headers } of answers) {
    assert.equal(headers.get('cache-control'), 'no-store')
    assert.equal(headers.get('x-content-type-options'), 'nosniff')
    assert.match(headers.get('content-security-policy') ?? '', /^default-src 'none'/)
    assert.equal(headers.get('access-control-allow-origin'), null)
  }
})
