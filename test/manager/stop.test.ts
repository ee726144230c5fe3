import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createErrand, ErrandError, type Errand } from 'errand'
import { manager, tokens } from 'errand/manager'
import { memory } from 'errand/memory'
import { VirtualClock } from 'errand/testing'
import { managerOf } from '../../src/manager/manager.ts'
import { json, type Route } from '../../src/manager/route.ts'
import { answered, manage, Wire } from './harness.ts'

const plain = { tag: 'test', summary: '', answers: {}, scopes: ['read'] } as const

/** Waits until its signal aborts, as a long poll does, and returns nothing then. */
function poll(began: () => void): Route {
  return {
    ...plain,
    method: 'GET',
    path: '/poll',
    id: 'poll',
    async handle({ signal }) {
      const ended = new Promise<void>((resolve) =>
        signal.addEventListener('abort', () => resolve(), { once: true }),
      )
      began()
      if (!signal.aborted) await ended
      return json([])
    },
  }
}

/** Goes on until the test lets it, whatever its signal says. */
function work(began: () => void, over: Promise<void>): Route {
  return {
    ...plain,
    method: 'GET',
    path: '/work',
    id: 'work',
    async handle() {
      began()
      await over
      return json('done')
    },
  }
}

/** Sends lines for ever. */
function stream(began: () => void): Route {
  return {
    ...plain,
    method: 'GET',
    path: '/stream',
    id: 'stream',
    handle({ signal }) {
      const body = new ReadableStream<Uint8Array>({
        start(controller) {
          controller.enqueue(Buffer.from(': hello\n\n'))
          signal.addEventListener('abort', () => controller.close(), { once: true })
          began()
        },
      })
      return new Response(body, { headers: { 'content-type': 'text/event-stream' } })
    },
  }
}

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`

test('a stop answers what waits, lets the rest end, and refuses what still comes', async (context) => {
  const began = [0, 1, 2, 3].map(() => Promise.withResolvers<void>())
  const over = Promise.withResolvers<void>()
  const routes = [
    poll(() => began[0]?.resolve()),
    work(() => began[1]?.resolve(), over.promise),
    stream(() => began[2]?.resolve()),
  ]
  const { server, port } = await manage(context, { routes })
  const kept = new Wire(port)
  kept.say(get('/nowhere'))
  await kept.until(/ 404 [^]*\}/)
  const wires = ['/poll', '/work', '/stream'].map((path) => {
    const wire = new Wire(port)
    wire.say(get(path))
    return wire
  })
  const [polling, working, streaming] = wires
  assert.ok(polling !== undefined && working !== undefined && streaming !== undefined)
  await Promise.all([began[0]?.promise, began[1]?.promise, began[2]?.promise])
  await streaming.until(/: hello/)
  const closed = server.close()
  kept.say(get('/poll'))
  assert.match(await kept.until(/ 503 [^]*\}/), /retry-after: [1-5]\r\n[^]*"code":"closed"/)
  await kept.closed
  assert.match(await polling.until(/\[\]/), /^HTTP\/1\.1 200 /)
  await polling.closed
  await streaming.closed
  assert.match(streaming.heard, /0\r\n\r\n$/)
  const late = new Wire(port)
  await late.closed
  assert.equal(late.heard, '')
  over.resolve()
  assert.match(await working.until(/"done"/), /^HTTP\/1\.1 200 [^]*connection: close/i)
  await closed
  await working.closed
})

test('a request on a connection that is kept is told to come again elsewhere', async () => {
  const errand = createErrand({ store: memory() })
  const over = Promise.withResolvers<void>()
  const began = Promise.withResolvers<void>()
  const routes = [work(began.resolve, over.promise)]
  const stopping = managerOf(errand, routes, { access: 'open' })
  const first = stopping.fetch(new Request('http://localhost/work'))
  await began.promise
  const stopped = stopping.stop()
  const { status, headers, body } = await answered(
    await stopping.fetch(new Request('http://localhost/work')),
  )
  assert.equal(status, 503)
  assert.equal((body as { readonly code: string }).code, 'closed')
  const seconds = Number(headers.get('retry-after'))
  assert.ok(seconds >= 1 && seconds <= 5)
  over.resolve()
  assert.equal((await first).status, 200)
  await stopped
  await errand.close()
})

test('a stop ends at its grace, whatever still runs', async (context) => {
  const began = Promise.withResolvers<void>()
  const never = new Promise<void>(() => undefined)
  const { server, port } = await manage(context, { routes: [work(began.resolve, never)] })
  const wire = new Wire(port)
  wire.say(get('/work'))
  await began.promise
  await server.close({ grace: 100 })
  await wire.closed
  assert.equal(wire.heard, '')
})

async function heldOpen(errand: Errand, clock: VirtualClock, route: Route): Promise<void> {
  const { id, token } = await tokens(errand).create({ scopes: ['read'] })
  const { fetch } = managerOf(errand, [route])
  const headers = { authorization: `Bearer ${token}` }
  const answer = fetch(new Request(`http://localhost${route.path}`, { headers }))
  const ended = answer.then(async (response) => response.text())
  await clock.advance(1)
  await tokens(errand).revoke(id)
  await clock.advance(2_000)
  await ended
}

test('who waits or listens is let go within two seconds of the end of its token', async () => {
  for (const make of [poll, stream]) {
    const clock = new VirtualClock()
    const errand = createErrand({ store: memory({ clock }) })
    await heldOpen(
      errand,
      clock,
      make(() => undefined),
    )
    await errand.close()
  }
})

test('a caller that goes away ends its long poll', async (context) => {
  const began = Promise.withResolvers<void>()
  const aborted = Promise.withResolvers<void>()
  const route = poll(began.resolve)
  const { port } = await manage(context, {
    routes: [
      {
        ...route,
        handle(call) {
          call.signal.addEventListener('abort', () => aborted.resolve())
          return route.handle(call)
        },
      },
    ],
  })
  const wire = new Wire(port)
  wire.say(get('/poll'))
  await began.promise
  wire.socket.destroy()
  await aborted.promise
})

test('a manager whose store is away says so, and goes on when it is back', async () => {
  const store = memory()
  const listRecords = store.listRecords.bind(store)
  const errand = createErrand({ store, queues: { '*': {} } })
  const { fetch } = manager(errand, { access: 'open' })
  const ask = async (): Promise<number> =>
    (await fetch(new Request('http://localhost/v1/tokens'))).status
  store.listRecords = async () => {
    throw new ErrandError('store-unavailable', 'nothing listens there')
  }
  assert.equal(await ask(), 503)
  store.listRecords = async (query) => listRecords(query)
  assert.equal(await ask(), 200)
  await errand.close()
})
