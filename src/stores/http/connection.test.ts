/** How a store over HTTP takes answers that are no answers, and ways that fall silent. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createNetServer, type AddressInfo } from 'node:net'
import test, { type TestContext } from 'node:test'
import { managerUnderTest } from '../../../test/manager-server.ts'
import { tcpProxy } from '../../../test/tcp-proxy.ts'
import { isErrandError, type ErrandErrorCode } from '../../core/errors.ts'
import { mayPass } from '../../loops/supervised.ts'
import { claimOf, newJob } from '../../testing/conformance/jobs.ts'
import { memory } from '../memory/index.ts'
import type { Store } from '../../store/store.ts'
import { Channel } from './channel.ts'
import { Connection } from './connection.ts'
import { http } from './index.ts'

type Handler = (request: IncomingMessage, response: ServerResponse, count: number) => void

/** A server that answers as it is told, and a store that takes it for a manager. */
async function posing(t: TestContext, handler: Handler, options: object = {}): Promise<Store> {
  let count = 0
  const server = createServer((request, response) => {
    request.resume()
    request.once('end', () => handler(request, response, ++count))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const store = http({ url: `http://127.0.0.1:${port}/base/`, callDeadlineMs: 2_000, ...options })
  t.after(async () => {
    await store.close()
    server.closeAllConnections()
    server.close()
  })
  return store
}

function answer(response: ServerResponse, status: number, body: unknown, headers = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers })
  response.end(JSON.stringify(body))
}

async function failsWith(call: Promise<unknown>, code: ErrandErrorCode, says: RegExp) {
  await assert.rejects(call, (error) => {
    assert.ok(isErrandError(error, code), String((error as { code?: unknown }).code))
    assert.match(error.message, says)
    return true
  })
}

test('the token goes in a header, under the path of the manager, and into no message', async (t) => {
  const seen: IncomingMessage[] = []
  const store = await posing(
    t,
    (request, response) => {
      seen.push(request)
      answer(response, 401, { code: 'unauthorized', detail: 'It is revoked.' })
    },
    { token: 'errand_secret' },
  )
  await assert.rejects(store.counts(), (error) => {
    assert.ok(isErrandError(error, 'unauthorized'))
    assert.match(error.message, /refuses the token: It is revoked/)
    assert.doesNotMatch(String(error.stack), /errand_secret/)
    // A worker goes on trying, at its pace: a token may be made valid again.
    assert.equal(mayPass(error), 'yes')
    return true
  })
  assert.equal(seen.length, 1)
  assert.equal(seen[0]?.headers.authorization, 'Bearer errand_secret')
  assert.equal(seen[0]?.url, '/base/v1/store/counts')
  assert.match(String(seen[0]?.headers['errand-protocol']), /^\d+$/)
})

test('errors come back with their code, their words and their details', async (t) => {
  const details = { index: 3 }
  const store = await posing(t, (_, response) =>
    answer(response, 422, { code: 'invalid-input', detail: 'It is wrong.', details }),
  )
  await assert.rejects(store.insert([newJob()]), { code: 'invalid-input', details })
})

test('a redirect is not followed', async (t) => {
  let requests = 0
  const store = await posing(t, (_, response) => {
    requests += 1
    answer(response, 307, {}, { location: 'http://127.0.0.1:1/elsewhere' })
  })
  await failsWith(store.counts(), 'store-unavailable', /sends elsewhere to http:\/\/127/)
  assert.equal(requests, 1)
})

test('a manager that is stopping is asked again after its Retry-After, whatever the call', async (t) => {
  const times: number[] = []
  const store = await posing(t, (_, response, count) => {
    times.push(performance.now())
    const away = { code: 'closed', detail: 'It stops.' }
    if (count === 1) answer(response, 503, away, { 'retry-after': '1' })
    else answer(response, 200, { answer: ['removed'] })
  })
  assert.deepEqual(await store.remove([newJob().id]), ['removed'])
  assert.ok(times[1]! - times[0]! >= 990, 'not before its time')
})

test('a proxy whose manager has gone leaves it open whether a call was carried out', async (t) => {
  const repeats: (string | undefined)[] = []
  const store = await posing(
    t,
    (request, response) => {
      repeats.push(request.headers['errand-repeat'] as string | undefined)
      response.writeHead(502, { 'content-type': 'text/html' })
      response.end('<h1>Bad gateway</h1>')
    },
    { callDeadlineMs: 300 },
  )
  await failsWith(store.counts(), 'store-unavailable', /status 502/)
  await failsWith(store.insert([newJob()]), 'unknown-outcome', /not known/)
  await failsWith(store.remove([newJob().id]), 'unknown-outcome', /not known/)
  assert.equal(repeats[0], undefined)
  assert.ok(repeats.includes('true'))
})

test('an answer that is no JSON of a manager, or has no end, is an error and no value', async (t) => {
  const store = await posing(t, (_, response) => answer(response, 404, { error: 'no' }))
  await failsWith(store.counts(), 'store-unavailable', /is no manager/)
  const endless = await posing(
    t,
    (_, response) => {
      response.writeHead(200, { 'content-type': 'application/json' })
      response.write('{"answer":')
    },
    { callDeadlineMs: 200 },
  )
  await failsWith(endless.counts(), 'store-unavailable', /does not answer/)
})

test('a manager that is not there ends a call soon, as not carried out', async () => {
  const store = http({ url: 'http://127.0.0.1:1', callDeadlineMs: 500 })
  await failsWith(store.insert([newJob()]), 'store-unavailable', /Is the manager running/)
  await store.close()
})

test('close ends what is under way', async (t) => {
  const arrived = Promise.withResolvers<void>()
  const store = await posing(t, () => arrived.resolve(), { callDeadlineMs: 30_000 })
  const call = store.counts()
  await arrived.promise
  await store.close()
  await failsWith(call, 'closed', /is closed/)
})

test('close ends a call that waits for a manager to come back', async (t) => {
  const told = Promise.withResolvers<void>()
  const store = await posing(
    t,
    (_, response) => {
      answer(response, 503, { code: 'closed', detail: 'It stops.' }, { 'retry-after': '10' })
      response.once('finish', told.resolve)
    },
    { callDeadlineMs: 30_000 },
  )
  const call = failsWith(store.counts(), 'closed', /is closed/)
  await told.promise
  // The client hears it, and begins to wait.
  await new Promise((resolve) => setTimeout(resolve, 300))
  await store.close()
  const late = AbortSignal.timeout(5_000)
  const { promise: over, reject } = Promise.withResolvers<never>()
  late.addEventListener('abort', () => reject(new Error('the call waits on')))
  await Promise.race([call, over])
})

test('close leaves it open whether an insert that had left was carried out', async (t) => {
  const arrived = Promise.withResolvers<void>()
  const store = await posing(t, () => arrived.resolve(), { callDeadlineMs: 30_000 })
  const call = failsWith(store.insert([newJob()]), 'unknown-outcome', /closed before it answered/)
  await arrived.promise
  await store.close()
  await call
})

/** A connection that takes its way for lost sooner than others do. */
function impatient(t: TestContext, url: string, silentMs: number, deadlineMs: number): Connection {
  const channel = new Channel(new URL(url), 1)
  const options = { channel, location: url, token: undefined, callDeadlineMs: deadlineMs }
  const connection = new Connection({ ...options, silentMs })
  t.after(() => connection.close())
  return connection
}

test('however long a way has been silent, the next try is not patient with it for longer', async (t) => {
  let tries = 0
  const store = await posing(t, (_, response) => {
    if (++tries > 5) answer(response, 200, { answer: [] })
  })
  // Doubled from try to try it would take more than 30 s.
  const connection = impatient(t, store.info.location, 1_000, 20_000)
  assert.deepEqual(await connection.call('counts', []), [])
  assert.equal(tries, 6)
})

test('a call that takes long is made once, and its repeats wait for it', async (t) => {
  const shared = memory()
  const { promise: isTime, resolve: go } = Promise.withResolvers<void>()
  let [requests, made] = [0, 0]
  const slow: Store = {
    ...shared,
    async counts() {
      made++
      await isTime
      return shared.counts()
    },
  }
  // When the fourth waits as well.
  const onRequest = (): void => void (++requests === 4 && setTimeout(go, 100))
  const manager = await managerUnderTest({ open: () => slow, onRequest })
  t.after(() => manager.close())
  const connection = impatient(t, manager.url, 500, 30_000)
  assert.deepEqual(await connection.call('counts', []), [])
  assert.ok(requests >= 4, `${requests} requests`)
  assert.equal(made, 1)
})

test('a call whose bytes are on their way is not taken for silent', async (t) => {
  let bytes = 0
  const server = createNetServer((socket) => {
    socket.on('error', () => undefined)
    socket.on('data', (chunk) => {
      bytes += chunk.length
      socket.pause()
      setTimeout(() => socket.resume(), 5)
      if (!chunk.toString().endsWith('"]')) return
      const body = '{"answer":null}'
      socket.end(`HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n${body}`)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  const { port } = server.address() as AddressInfo
  const connection = impatient(t, `http://127.0.0.1:${port}`, 1_000, 30_000)
  const input = 'x'.repeat(48_000_000)
  const from = performance.now()
  assert.equal(await connection.call('note', [input]), null)
  assert.ok(bytes > input.length && bytes < input.length + 10_000, `${bytes} bytes came`)
  assert.ok(performance.now() - from > 1_500, 'it took longer than a silence')
})

test('a claim whose answer was lost is made again, and gets the same jobs', async (t) => {
  const stores: Store[] = []
  const shared = memory()
  const manager = await managerUnderTest({ open: () => shared })
  const proxy = await tcpProxy(manager.port)
  const store = http({ url: `http://127.0.0.1:${proxy.port}` })
  stores.push(store)
  t.after(async () => {
    await store.close()
    await proxy.close()
    await manager.close()
  })
  const job = newJob()
  await store.insert([job])
  proxy.swallowAnswers()
  const claim = store.claim(claimOf({ leaseMs: 4_000 }))
  while ((await shared.get([job.id]))[0]?.state !== 'running') await new Promise(setImmediate)
  const { token } = (await shared.get([job.id]))[0]!
  proxy.recover()
  proxy.cut()
  const { jobs } = await claim
  assert.deepEqual(
    jobs.map(({ id }) => id),
    [job.id],
  )
  assert.equal(jobs[0]?.token, token)
})

test('hints come over one stream, which is opened again when the manager comes back', async (t) => {
  const shared = memory()
  const manager = await managerUnderTest({ open: () => ({ ...shared, close: async () => {} }) })
  const store = http({ url: manager.url })
  t.after(async () => {
    await store.close()
    await manager.close()
  })
  const heard = new Set<string>()
  const wait = async (hint: string): Promise<void> => {
    while (!heard.has(hint)) await new Promise(setImmediate)
    heard.clear()
  }
  store.watch((hint) => heard.add(hint))
  store.watch(() => undefined)
  // Whatever was missed before it was open, all hints make up for.
  await wait('lock')
  await shared.insert([newJob()])
  await wait('work')
  await manager.kill()
  await wait('lock')
  await shared.insert([newJob()])
  await wait('work')
})

test('addresses and tokens that cannot be are refused, without a secret in the words', () => {
  for (const url of [
    'jobs.example.org',
    'ftp://jobs.example.org',
    'https://me:secret@jobs.example.org',
    'https://jobs.example.org?token=secret',
    'https://jobs.example.org/#secret',
    '',
  ])
    assert.throws(
      () => http({ url }),
      (error) => isErrandError(error, 'invalid-option') && !/secret/.test(error.message),
      url,
    )
  for (const token of ['', 'se cret', 'secret\n', 'sécret'])
    assert.throws(
      () => http({ url: 'https://x', token }),
      (error) => isErrandError(error, 'invalid-option') && !/se.?cret/.test(error.message),
    )
  assert.throws(() => http({ url: 'https://x', callDeadlineMs: 60_000 }), {
    code: 'invalid-option',
  })
})

test('a token that crosses a network in the open is warned of', async (t) => {
  const store = await posing(t, (_, response) => answer(response, 200, { answer: [] }), {
    token: 'errand_x',
  })
  assert.deepEqual(await store.warnings('ask'), [])
})
