import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { connect, createServer as createTcp, type AddressInfo, type Socket } from 'node:net'
import { describe, test, type TestContext } from 'node:test'
import { getCACertificates, setDefaultCACertificates, type TLSSocket } from 'node:tls'
import { readAddressRule } from './address-rule.ts'
import { deliver, RefusedAddress, type Answer, type Network } from './delivery.ts'

const here = ['127.0.0.1', '::1']
const patienceMs = 10_000

interface Served {
  readonly port: number
  /** Method, path and body of each request. */
  readonly asked: string[]
  readonly sockets: Set<Socket>
}

async function serve(
  t: TestContext,
  answer: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<Served> {
  const asked: string[] = []
  const sockets = new Set<Socket>()
  const server = createServer((request, response) => {
    let body = ''
    request.setEncoding('utf8').on('data', (part: string) => (body += part))
    request.on('end', () => {
      asked.push(`${request.method} ${request.url} ${body}`)
      answer(request, response)
    })
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
  return { port: (server.address() as AddressInfo).port, asked, sockets }
}

function post(
  url: string,
  given: {
    readonly allow?: readonly string[]
    readonly signal?: AbortSignal
    readonly body?: string
    readonly network?: Network
  } = {},
): Promise<Answer> {
  return deliver(
    {
      url: new URL(url),
      headers: { 'content-type': 'application/json' },
      body: given.body ?? '{"a":"č"}',
      mayReach: readAddressRule(given.allow ?? here, 'allow'),
      signal: given.signal ?? AbortSignal.timeout(patienceMs),
    },
    given.network,
  )
}

/** A key and a certificate for this machine; null where there is no openssl. */
function certificate(): { readonly cert: string; readonly key: string } | null {
  const names = ['-subj', '/CN=here', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1']
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-days', '1', '-nodes']
  const args = ['req', '-x509', ...kind, ...names, '-keyout', '-', '-out', '-']
  const { stdout, status } = spawnSync('openssl', args, { encoding: 'utf8' })
  if (status !== 0) return null
  const [key = '', cert = ''] = stdout.split(/(?=-----BEGIN CERTIFICATE)/)
  return { key, cert }
}

/** A network where every name has these addresses; connections all go to this machine. */
function network(...addresses: readonly string[]): Network & { readonly looked: string[] } {
  const looked: string[] = []
  return {
    looked,
    lookup: async (host) => {
      looked.push(host)
      return addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))
    },
    connect: ({ port }) => connect({ host: '127.0.0.1', port }),
  }
}

describe('a request of a webhook', () => {
  test('comes with its path, headers and body, and brings the answer', async (t) => {
    const server = await serve(t, (request, response) => {
      const { host, connection, 'content-type': type, 'content-length': length } = request.headers
      response.writeHead(202, { 'x-seen': JSON.stringify([host, connection, type, length]) })
      response.end('thanks')
    })
    const { status, headers, text } = await post(`http://localhost:${server.port}/in?a=1`)
    assert.deepEqual([status, text], [202, 'thanks'])
    assert.deepEqual(server.asked, ['POST /in?a=1 {"a":"č"}'])
    const seen = [`localhost:${server.port}`, 'close', 'application/json', '10']
    assert.deepEqual(JSON.parse(String(headers['x-seen'])), seen)
  })

  test('trusts no certificate that nobody vouches for, and names whom it wants', async (t) => {
    const pem = certificate()
    if (pem === null) return t.skip('there is no openssl')
    const names: unknown[] = []
    const server = createTlsServer(pem, (request, response) => {
      names.push((request.socket as TLSSocket).servername)
      response.end()
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.after(() => server.close())
    const { port } = server.address() as AddressInfo
    await assert.rejects(post(`https://localhost:${port}/`), /self-signed certificate/)
    const trusted = getCACertificates('default')
    setDefaultCACertificates([...trusted, pem.cert])
    try {
      assert.equal((await post(`https://localhost:${port}/`)).status, 200)
      assert.equal((await post(`https://127.0.0.1:${port}/`)).status, 200)
      const other = network('127.0.0.1')
      await assert.rejects(
        post(`https://other.example:${port}/`, { network: other }),
        /ERR_TLS_CERT_ALTNAME_INVALID|does not match/,
      )
    } finally {
      setDefaultCACertificates(trusted)
    }
    assert.deepEqual(names, ['localhost', false])
  })

  test('goes to no private address, by number or by name, and connects to none', async (t) => {
    let connections = 0
    const server = await serve(t, (_request, response) => response.end())
    const watched: Network = {
      lookup: async () => [{ address: '127.0.0.1', family: 4 }],
      connect: (options) => {
        connections++
        return connect(options)
      },
    }
    for (const host of ['127.0.0.1', '2130706433', '0x7f.1', '[::ffff:127.0.0.1]', 'a.example']) {
      await assert.rejects(
        post(`http://${host}:${server.port}/`, { allow: [], network: watched }),
        (error) => {
          assert.ok(error instanceof RefusedAddress, String(error))
          assert.match(error.message, /not on the public internet/)
          return true
        },
      )
    }
    assert.equal(connections, 0)
    assert.deepEqual(server.asked, [])
  })

  test('is not sent where a name leads to a private address only once it is connected', async (t) => {
    const server = await serve(t, (_request, response) => response.end())
    const rebound = network('93.184.215.14')
    const url = `http://rebound.example:${server.port}/`
    await assert.rejects(post(url, { allow: [], network: rebound }), RefusedAddress)
    assert.deepEqual(server.asked, [])
    assert.equal((await post(url, { network: rebound })).status, 200)
  })

  test('looks a name up once, and leaves out the addresses that are private', async (t) => {
    const server = await serve(t, (_request, response) => response.end())
    const many = network('10.0.0.1', '127.0.0.1', 'fd00::1')
    const seen: unknown[] = []
    const url = `http://many.example:${server.port}/`
    const listening: Network = {
      ...many,
      connect: (options) => {
        options.lookup?.('many.example', { all: true }, (_error, found) => seen.push(found))
        options.lookup?.('many.example', {}, (_error, found) => seen.push(found))
        return many.connect(options)
      },
    }
    assert.equal((await post(url, { network: listening })).status, 200)
    assert.deepEqual(seen, [[{ address: '127.0.0.1', family: 4 }], '127.0.0.1'])
    assert.deepEqual(many.looked, ['many.example'])
  })

  test('follows no redirect', async (t) => {
    const other = await serve(t, (_request, response) => response.end())
    const server = await serve(t, (_request, response) => {
      response.writeHead(307, { location: `http://127.0.0.1:${other.port}/` }).end()
    })
    assert.equal((await post(`http://127.0.0.1:${server.port}/`)).status, 307)
    assert.deepEqual(other.asked, [])
  })

  test('reads the beginning of an answer without end, and closes it', async (t) => {
    const server = await serve(t, (_request, response) => {
      const pour = (): void => {
        while (response.write('x'.repeat(4_096)));
      }
      response.on('drain', pour)
      pour()
    })
    const { status, text } = await post(`http://127.0.0.1:${server.port}/`)
    assert.equal(status, 200)
    assert.equal(text.length, 16 * 1_024)
    await closed(server)
  })

  test('takes the status of an answer whose body does not come', async (t) => {
    const server = await serve(t, (_request, response) => {
      response.writeHead(503, { 'content-length': 10 }).write('busy')
    })
    const signal = AbortSignal.timeout(500)
    const { status, text } = await post(`http://127.0.0.1:${server.port}/`, { signal })
    assert.deepEqual([status, text], [503, 'busy'])
    await closed(server)
  })

  test('ends at its deadline, whatever is silent, and leaves no connection', async (t) => {
    const server = await serve(t, () => {})
    const sockets = new Set<Socket>()
    const mute = createTcp((socket) => {
      sockets.add(socket)
      socket.on('error', () => {}).on('close', () => sockets.delete(socket))
      socket.resume()
    })
    mute.listen(0, '127.0.0.1')
    await once(mute, 'listening')
    t.after(() => mute.close())
    const { port } = mute.address() as AddressInfo
    const never: Network = { ...network(), lookup: () => new Promise(() => {}) }
    for (const [url, network] of [
      [`http://127.0.0.1:${server.port}/`, undefined],
      [`http://127.0.0.1:${port}/`, undefined],
      [`https://127.0.0.1:${port}/`, undefined],
      ['http://silent.example/', never],
    ] as const) {
      const stop = new AbortController()
      const posted = post(url, { signal: stop.signal, ...(network && { network }) })
      setTimeout(() => stop.abort(new Error('late')), 200)
      await assert.rejects(posted, /late/)
    }
    await closed(server)
    await closed({ sockets })
  })

  test('says what a connection failed of', async (t) => {
    const server = await serve(t, (request) => request.socket.destroy())
    await assert.rejects(post(`http://127.0.0.1:${server.port}/`), /hang up|ECONNRESET/)
    const mute = createTcp((socket) => socket.end('SSH-2.0-x\r\n'))
    mute.listen(0, '127.0.0.1')
    await once(mute, 'listening')
    const { port } = mute.address() as AddressInfo
    await assert.rejects(post(`http://127.0.0.1:${port}/`), /Parse Error/)
    await assert.rejects(post(`https://127.0.0.1:${port}/`), /SSL|wrong version/i)
    mute.close()
    await assert.rejects(post(`http://127.0.0.1:${port}/`), /ECONNREFUSED/)
    await assert.rejects(post('http://no.invalid/'), /ENOTFOUND|EAI_AGAIN/)
  })
})

async function closed({ sockets }: Pick<Served, 'sockets'>): Promise<void> {
  const endsAt = performance.now() + patienceMs
  while (sockets.size > 0) {
    assert.ok(performance.now() < endsAt, 'the connection stays open')
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
