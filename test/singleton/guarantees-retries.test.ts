/** Tries of a server that is away: paced, and over at once when nobody wants the answer any more. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type AddressInfo, type Server } from 'node:net'
import { test, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { HttpClient } from '../../src/singleton/http-client.ts'
import { Watches } from '../../src/singleton/locks/watches.ts'

const call = { method: 'GET', path: '/' } as const
/** Many times what one try takes, and far less than all tries together. */
const soonMs = 5_000

/** A server that hangs up on everybody; `tried` resolves when that has happened so often. */
async function hangsUp(t: TestContext): Promise<{
  readonly url: string
  readonly tried: (times: number) => Promise<void>
}> {
  let count = 0
  const looks = new Set<() => void>()
  const server: Server = createServer((socket) => {
    socket.destroy()
    count++
    for (const look of looks) look()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    tried: (times) =>
      new Promise((resolve) => {
        const look = (): void => void (count >= times && resolve())
        looks.add(look)
        look()
      }),
  }
}

function clientOf(t: TestContext, url: string): HttpClient {
  const client = new HttpClient('test', url, { url, retries: 1_000, retryWait: '20ms' })
  t.after(() => client.close())
  return client
}

async function soon<T>(answer: Promise<T>): Promise<T> {
  const late = sleep(soonMs, undefined, { ref: false }).then(() => {
    throw new Error(`no end after ${soonMs} ms`)
  })
  return Promise.race([answer, late])
}

test('a call that is aborted ends between its tries, with the reason', async (t) => {
  const server = await hangsUp(t)
  const stop = new AbortController()
  const answer = clientOf(t, server.url).call({ ...call, signal: stop.signal })
  const refused = assert.rejects(soon(answer), /told to stop/)
  await server.tried(3)
  stop.abort(new Error('told to stop'))
  await refused
})

test('a client that is closed ends its calls between their tries', async (t) => {
  const server = await hangsUp(t)
  const client = clientOf(t, server.url)
  const refused = assert.rejects(soon(client.call(call)), { code: 'closed' })
  await server.tried(3)
  client.close()
  await refused
})

test('a watch of a server that is away asks less and less often, and says that the lock may be free', async (t) => {
  let asked = 0
  let told = 0
  const watches = new Watches(async () => {
    asked++
    throw new Error('the server is down')
  })
  t.after(() => watches.close())
  watches.add('reports', () => told++)
  await sleep(2_000)
  assert.ok(asked > 1 && asked < 12, `asked ${asked} times in two seconds`)
  assert.equal(told, asked)
})

test('a wait between tries that the longest one would cut is refused', () => {
  assert.throws(() => new HttpClient('etcdLocks()', 'http://127.0.0.1:1', { retryWait: '6s' }), {
    code: 'invalid-option',
    message: /etcdLocks\(\)\.retryWait is at most 5 s/,
  })
})
