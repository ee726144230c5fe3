/** Locks, liveness and metrics by name: each of their options from each source that can carry it, as real servers get to see it. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test, type TestContext } from 'node:test'
import { findInfluxdb } from '../../test/influxdb-server.ts'
import { findConsul } from '../../test/lock-servers.ts'
import { freePort, onPath } from '../../test/services.ts'
import { recordingProxy, type RecordingProxy } from '../../test/singleton/recording-proxy.ts'
import { tcpProxy } from '../../test/tcp-proxy.ts'
import { livenessNamed, locksNamed, metricsNamed } from './backends.ts'
import { consulLocks } from './locks/consul.ts'
import { etcdLocks } from './locks/etcd.ts'

const folder = await mkdtemp(join(tmpdir(), 'errand-backends-'))
const consul = await findConsul()
const influx = await findInfluxdb()
after(async () => {
  await consul?.stop()
  await influx?.stop()
  await rm(folder, { recursive: true })
})

/** What servers over HTTP are told alike, by the end of the variable. */
const http = {
  URL: ['http://from.env:1', { url: 'http://from.env:1' }],
  TIMEOUT: ['2s', { timeout: 2_000 }],
  RETRIES: ['3', { retries: 3 }],
  RETRY_WAIT: ['70', { retryWait: 70 }],
  CA_FILE: [import.meta.filename, { tls: { ca: readFileSync(import.meta.filename, 'utf8') } }],
  CERT_FILE: [import.meta.filename, { tls: { cert: readFileSync(import.meta.filename, 'utf8') } }],
  KEY_FILE: [import.meta.filename, { tls: { key: readFileSync(import.meta.filename, 'utf8') } }],
} as const

const locks = {
  consul: {
    prefix: 'ERRAND_CONSUL',
    make: consulLocks,
    fallback: 'http://127.0.0.1:8500',
    variables: {
      ...http,
      TOKEN: ['secret', { token: 'secret' }],
      DATACENTER: ['dc7', { datacenter: 'dc7' }],
      LOCK_KEY: ['a/{name}', { key: 'a/{name}' }],
    },
  },
  etcd: {
    prefix: 'ERRAND_ETCD',
    make: etcdLocks,
    fallback: 'http://127.0.0.1:2379',
    variables: {
      ...http,
      USER: ['me', { user: 'me' }],
      PASSWORD: ['secret', { password: 'secret' }],
      LOCK_KEY: ['a/{name}', { key: 'a/{name}' }],
    },
  },
} as const

for (const [name, { prefix, make, fallback, variables }] of Object.entries(locks)) {
  for (const [end, [text, options]] of Object.entries(variables)) {
    const variable = `${prefix}_${end}`
    test(`${name}: ${variable} is the option ${Object.keys(options).join()} of a definition; empty it is the default`, async () => {
      const named = await locksNamed(name, { [variable]: text })
      const defined = make(options)
      const usual = await locksNamed(name, { [variable]: '' })
      assert.deepEqual(named.connector, defined.connector)
      assert.deepEqual(named.info, defined.info)
      assert.deepEqual(usual.connector, make().connector)
      for (const one of [named, defined, usual]) await one.close()
    })
  }

  test(`${name}: the address on the command line wins over the environment, that over the default`, async () => {
    const env = { [`${prefix}_URL`]: 'http://from.env:1' }
    const locations: string[] = []
    for (const [text, vars] of [
      [`${name}:http://from.flag:2`, env],
      [name, env],
      [name, {}],
    ] as const) {
      const made = await locksNamed(text, vars)
      locations.push(made.info.location)
      await made.close()
    }
    assert.deepEqual(locations, ['http://from.flag:2', 'http://from.env:1', fallback])
  })
}

const refused: Readonly<Record<string, readonly [env: Record<string, string>, says: RegExp]>> = {
  'a time that is none': [
    { ERRAND_CONSUL_TIMEOUT: 'soon' },
    /ERRAND_CONSUL_TIMEOUT must be a duration/,
  ],
  'a negative time': [
    { ERRAND_CONSUL_RETRY_WAIT: '-1s' },
    /ERRAND_CONSUL_RETRY_WAIT must be a duration/,
  ],
  'a number of retries that is none': [
    { ERRAND_CONSUL_RETRIES: 'many' },
    /retries must be a whole number/,
  ],
  'a negative number of retries': [
    { ERRAND_CONSUL_RETRIES: '-1' },
    /retries must be a whole number/,
  ],
  'an address that is none': [{ ERRAND_CONSUL_URL: 'consul' }, /url must be a URL such as/],
  'a file that is not there': [
    { ERRAND_CONSUL_CA_FILE: join(folder, 'none.pem') },
    /ERRAND_CONSUL_CA_FILE cannot be read/,
  ],
}
for (const [what, [env, says]] of Object.entries(refused)) {
  test(`${what} is refused for locks and liveness alike`, async () => {
    for (const find of [locksNamed, livenessNamed] as const)
      await assert.rejects(find('consul', env), (error: Error & { code?: string }) => {
        assert.match(error.message, says)
        assert.equal(error.code, 'invalid-option')
        return true
      })
  })
}

test('liveness in files and over HTTP: the place on the command line wins over the environment; without one it is refused', async () => {
  const port = await freePort()
  const table = [
    [`file:${folder}/flag`, { ERRAND_LIVENESS_FILE: `${folder}/env` }, `${folder}/flag`],
    ['file', { ERRAND_LIVENESS_FILE: `${folder}/env` }, `${folder}/env`],
    [`http:${port}`, { ERRAND_LIVENESS_HTTP: '9' }, `http://127.0.0.1:${port}`],
    ['http', { ERRAND_LIVENESS_HTTP: `localhost:${port}` }, `http://localhost:${port}`],
  ] as const
  for (const [text, env, location] of table) {
    const made = await livenessNamed(text, env)
    assert.equal(made.info.location, location)
    await made.close()
  }
  await assert.rejects(livenessNamed('file', {}), /ERRAND_LIVENESS_FILE is missing/)
  await assert.rejects(livenessNamed('http', {}), /ERRAND_LIVENESS_HTTP is missing/)
  await assert.rejects(livenessNamed('http:70000', {}), /must be a port/)
})

async function proxyTo(t: TestContext, target: string): Promise<RecordingProxy> {
  const proxy = await recordingProxy(target)
  t.after(() => proxy.close())
  return proxy
}

const beat = { singleton: 'a', kind: 'success', at: 1_790_000_000_000, host: 'here' } as const
const point = { measurement: 'm', tags: { task: 'a' }, value: 1, atNs: 1_790_000_000_000_000_000n }

void describe('on the wire', () => {
  const hasConsul = { skip: consul === null }
  const hasInflux = { skip: influx === null }

  test(
    "Consul's token, datacenter, key and check reach it from the environment",
    hasConsul,
    async (t) => {
      const proxy = await proxyTo(t, consul?.url ?? '')
      const env = {
        ERRAND_CONSUL_URL: proxy.url,
        ERRAND_CONSUL_TOKEN: 'anonymous',
        ERRAND_CONSUL_DATACENTER: 'dc1',
        ERRAND_CONSUL_LIVENESS_KEY: 'of/{name}',
        ERRAND_CONSUL_CHECK_TTL: '90s',
      }
      const liveness = await livenessNamed('consul', env)
      t.after(() => liveness.close())
      await liveness.write(beat)
      assert.deepEqual(
        proxy.requests.map(({ line }) => line),
        [
          'PUT /v1/kv/of/a?dc=dc1',
          'PUT /v1/agent/check/register?dc=dc1',
          'PUT /v1/agent/check/pass/errand-a?dc=dc1',
        ],
      )
      assert.ok(proxy.requests.every(({ headers }) => headers['x-consul-token'] === 'anonymous'))
      assert.match(proxy.requests[1]?.body ?? '', /"TTL":"90000ms"/)
    },
  )

  const credentials: Readonly<
    Record<string, readonly [env: Record<string, string>, header?: string]>
  > = {
    'a user and a password': [
      { ERRAND_INFLUXDB_USER: 'root', ERRAND_INFLUXDB_PASSWORD: 'sesame' },
      `Basic ${Buffer.from('root:sesame').toString('base64')}`,
    ],
    'a token': [{ ERRAND_INFLUXDB_TOKEN: 'sesame' }, 'Token sesame'],
    'no credentials at all': [{}],
  }
  for (const [what, [env, header]] of Object.entries(credentials)) {
    test(
      `InfluxDB gets ${what}, the database and the policy from the environment`,
      hasInflux,
      async (t) => {
        const proxy = await proxyTo(t, influx?.url ?? '')
        const metrics = await metricsNamed('influxdb', {
          ERRAND_INFLUXDB_URL: proxy.url,
          ERRAND_INFLUXDB_DATABASE: 'jobs',
          ERRAND_INFLUXDB_RETENTION_POLICY: 'autogen',
          ...env,
        })
        metrics.push([point])
        await metrics.close(1_000)
        const [write] = proxy.requests
        assert.equal(write?.line, 'POST /write?db=jobs&precision=ns&rp=autogen')
        assert.equal(write.headers.authorization, header)
      },
    )
  }

  test('a call that gets no answer ends by the timeout of the environment', async (t) => {
    const proxy = await tcpProxy(Number(new URL(consul?.url ?? 'http://127.0.0.1:9').port))
    proxy.fallSilent()
    t.after(() => proxy.close())
    const env = {
      ERRAND_CONSUL_URL: `http://127.0.0.1:${proxy.port}`,
      ERRAND_CONSUL_TIMEOUT: '100ms',
    }
    const made = await locksNamed('consul', env)
    t.after(() => made.close())
    const from = performance.now()
    await assert.rejects(made.lockOwner('a'), { code: 'server-unavailable' })
    // The default is five seconds.
    assert.ok(performance.now() - from < 4_500)
  })

  test('a call is tried once, and so many times more as retries say, with waits that double', async (t) => {
    const proxy = await proxyTo(t, `http://127.0.0.1:${await freePort()}`)
    const env = { ERRAND_CONSUL_URL: proxy.url }
    const asked = async (more: Record<string, string>): Promise<number> => {
      const before = proxy.requests.length
      const made = await locksNamed('consul', { ...env, ...more })
      await assert.rejects(made.lockOwner('a'), { code: 'server-unavailable' })
      await made.close()
      return proxy.requests.length - before
    }
    assert.equal(await asked({}), 1)
    const from = performance.now()
    const retries = { ERRAND_CONSUL_RETRIES: '3', ERRAND_CONSUL_RETRY_WAIT: '100ms' }
    assert.equal(await asked(retries), 4)
    // 100, 200 and 400 ms, each drawn between half and all of it.
    assert.ok(performance.now() - from >= 345)
  })

  const openssl = onPath('openssl')
  const hasTls = { skip: influx === null || openssl === null }
  test(
    'a server behind TLS is trusted by the file of its authority, and gets the certificate of ours',
    hasTls,
    async (t) => {
      const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')]
      const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost']
      const made = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2']
      const files = ['-keyout', key, '-out', cert]
      execFileSync(openssl ?? '', ['req', '-x509', ...made, ...subject, ...files], {
        stdio: 'ignore',
      })
      const pem = { cert: readFileSync(cert), key: readFileSync(key) }
      const proxy = await recordingProxy(influx?.url ?? '', { ...pem, ca: pem.cert })
      t.after(() => proxy.close())
      const env = { ERRAND_INFLUXDB_URL: proxy.url, ERRAND_INFLUXDB_DATABASE: 'jobs' }
      const push = async (more: Record<string, string>): Promise<number> => {
        const before = proxy.requests.length
        const metrics = await metricsNamed('influxdb', { ...env, ...more })
        metrics.push([point])
        await metrics.close(2_000)
        return proxy.requests.length - before
      }
      const [ca, ours] = [
        { ERRAND_INFLUXDB_CA_FILE: cert },
        { ERRAND_INFLUXDB_CERT_FILE: cert, ERRAND_INFLUXDB_KEY_FILE: key },
      ]
      assert.equal(await push({}), 0)
      assert.equal(await push(ca), 0)
      assert.equal(await push({ ...ca, ...ours }), 1)
    },
  )
})
