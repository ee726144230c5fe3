import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { describe, test, type TestContext } from 'node:test'
import { HttpClient } from './http-client.ts'

const timeoutMs = 1_500
/** What has a deadline of `timeoutMs` is over by then, on a busy machine. */
const withinMs = 10_000

interface Served {
  readonly url: string
  readonly sockets: Set<Socket>
  /** Paths that have been asked for. */
  readonly asked: string[]
}

/** A server that answers as told. */
async function serve(
  t: TestContext,
  answer: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<Served> {
  const sockets = new Set<Socket>()
  const asked: string[] = []
  const server = createServer((request, response) => {
    asked.push(request.url ?? '')
    answer(request, response)
  })
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, sockets, asked }
}

/** Silence for all paths but `/now`. */
function silent({ url }: IncomingMessage, response: ServerResponse): void {
  if (url === '/now') response.end('here')
}

function clientOf(t: TestContext, url: string): HttpClient {
  const client = new HttpClient('test()', url, { timeout: timeoutMs })
  t.after(() => client.close())
  return client
}

async function until(holds: () => boolean, what: string): Promise<void> {
  const from = performance.now()
  while (!holds()) {
    assert.ok(performance.now() - from < withinMs, what)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

describe('a client of HTTP', { concurrency: true, timeout: 60_000 }, () => {
  test('calls that nobody answers end by their deadline, however many there are, and leave no connection', async (t) => {
    const { url, sockets } = await serve(t, silent)
    const client = clientOf(t, url)
    const from = performance.now()
    const calls = Array.from({ length: 20 }, () => client.call({ method: 'GET', path: '/never' }))
    const ends = await Promise.allSettled(calls)
    assert.ok(performance.now() - from < withinMs, `${performance.now() - from} ms`)
    for (const end of ends) {
      assert.equal(end.status, 'rejected')
      assert.equal((end.reason as { code?: string }).code, 'server-unavailable')
    }
    await until(() => sockets.size === 0, `${sockets.size} connections are left`)
  })

  test('calls that wait at the server for long keep no other call from it', async (t) => {
    const { url, asked } = await serve(t, silent)
    const client = clientOf(t, url)
    const stop = new AbortController()
    const waits = Array.from({ length: 20 }, (_, i) =>
      client.call({
        method: 'GET',
        path: `/wait/${i}`,
        timeoutMs: 60_000,
        signal: stop.signal,
      }),
    )
    const ends = Promise.allSettled(waits)
    await until(() => asked.length === 20, 'not all of them reached the server')
    assert.equal((await client.call({ method: 'GET', path: '/now' })).text, 'here')
    stop.abort()
    assert.ok((await ends).every(({ status }) => status === 'rejected'))
  })

  test('an open reply that does not begin ends by the deadline, and one that began goes on', async (t) => {
    const { url } = await serve(t, ({ url: path }, response) => {
      if (path !== '/begins') return
      response.write('a')
      setTimeout(() => response.end('b'), 2 * timeoutMs)
    })
    const client = clientOf(t, url)
    const { signal } = new AbortController()
    const opened = client.open({ method: 'GET', path: '/never', signal })
    await assert.rejects(opened, { code: 'server-unavailable' })
    let text = ''
    const reply = await client.open({ method: 'GET', path: '/begins', signal })
    for await (const part of reply) text += String(part)
    assert.equal(text, 'ab')
  })

  test('a call without an answer takes idle connections with it, which may be as dead', async (t) => {
    const { url, sockets } = await serve(t, silent)
    const client = clientOf(t, url)
    const now = { method: 'GET', path: '/now' } as const
    await Promise.all([client.call(now), client.call(now), client.call(now)])
    assert.equal(sockets.size, 3)
    await assert.rejects(client.call({ method: 'GET', path: '/never' }))
    await until(() => sockets.size === 0, `${sockets.size} connections are left`)
    assert.equal((await client.call(now)).text, 'here')
  })
})
