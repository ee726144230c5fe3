import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { join } from 'node:path'
import { test } from 'node:test'
import { connect } from 'node:tls'
import { tokens } from 'errand/manager'
import { configText, errand, makeProject, start } from '../cli/command-line.ts'
import { onPath, tellMissing } from '../services.ts'
import { manage, until } from './harness.ts'

const openssl = onPath('openssl')
if (openssl === null) tellMissing('NO TLS IS TESTED: install openssl')

/** A key and a certificate for this machine. */
function certificate(): { readonly cert: string; readonly key: string } {
  const subject = ['-subj', '/CN=localhost', '-days', '1', '-nodes']
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1']
  const args = ['req', '-x509', ...curve, ...subject, '-keyout', '-', '-out', '-']
  const pem = execFileSync(openssl ?? '', args, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const [key = '', cert = ''] = pem.split(/(?=-----BEGIN CERTIFICATE)/)
  return { key, cert }
}

interface Said {
  readonly method: string
  readonly url: string
  readonly token: string
  readonly body?: unknown
}

/** Speaks TLS to a server whose certificate nobody signed. */
function ask({ method, url, token, body }: Said): Promise<{ status: number; body: unknown }> {
  return new Promise((resolve, reject) => {
    const text = body === undefined ? '' : JSON.stringify(body)
    const headers = {
      authorization: `Bearer ${token}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      'content-length': Buffer.byteLength(text),
    }
    const sent = request(url, { method, headers, rejectUnauthorized: false }, (response) => {
      let heard = ''
      response.setEncoding('utf8').on('data', (chunk: string) => (heard += chunk))
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, body: JSON.parse(heard) }),
      )
    })
    sent.on('error', reject).end(text)
  })
}

/** What tells the certificate that a server shows to those who come. */
function shownAt(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, rejectUnauthorized: false }, () => {
      resolve(socket.getPeerX509Certificate()?.fingerprint256 ?? '')
      socket.end()
    }).on('error', reject)
  })
}

test(
  'a server takes another certificate, and keeps the one it has when the other is none',
  { skip: openssl === null },
  async (context) => {
    const [first, other] = [certificate(), certificate()]
    const { server, port } = await manage(context, { tls: first })
    const before = await shownAt(port)
    for (const none of [
      { cert: 'x', key: 'x' },
      { ...first, key: other.key },
    ])
      assert.throws(() => server.useTls(none), { code: 'invalid-option' })
    assert.equal(await shownAt(port), before)
    server.useTls(other)
    assert.notEqual(await shownAt(port), before)
    const { server: plain } = await manage(context)
    assert.throws(() => plain.useTls(other), /speaks no TLS/)
  },
)

test(
  'errand serve reads its certificate anew when the files change',
  { skip: openssl === null },
  async (context) => {
    const { cert, key } = certificate()
    const cwd = await makeProject(context, {
      'errand.config.ts': configText,
      'cert.pem': cert,
      'key.pem': key,
    })
    const tls = ['--tls-cert', 'cert.pem', '--tls-key', 'key.pem']
    const serving = start(['serve', '--port', '0', ...tls], { cwd })
    context.after(() => serving.kill('SIGKILL'))
    await serving.shown('https://')
    const port = Number(/https:\/\/127\.0\.0\.1:(\d+)/.exec(serving.written())?.[1])
    const before = await shownAt(port)
    const next = certificate()
    writeFileSync(join(cwd, 'key.pem'), next.key)
    writeFileSync(join(cwd, 'cert.pem'), next.cert)
    await until(async () => (await shownAt(port)) !== before)
    serving.kill('SIGTERM')
    const { code, stderr } = await serving.ended
    assert.match(stderr, /New connections use what cert\.pem holds now/)
    assert.equal(code, 0)
  },
)

test(
  'errand serve speaks TLS, runs jobs, logs no secret and ends with 0',
  { skip: openssl === null },
  async (context) => {
    const { cert, key } = certificate()
    const cwd = await makeProject(context, {
      'errand.config.ts': configText,
      'cert.pem': cert,
      'key.pem': key,
    })
    const tls = ['--tls-cert', 'cert.pem', '--tls-key', 'key.pem']
    const serving = start(['serve', '--port', '0', '--work', ...tls], { cwd })
    context.after(() => serving.kill('SIGKILL'))
    await serving.shown("Errand's API and dashboard are at https://127.0.0.1:")
    const made = await errand(
      ['tokens', 'create', '--scope', 'enqueue', '--scope', 'read', '--json'],
      { cwd },
    )
    assert.equal(made.stderr, '')
    const { id, token, scopes, queues, ...rest } = JSON.parse(made.stdout) as Record<string, string>
    assert.deepEqual([scopes, queues, rest], [['read', 'enqueue'], null, {}])
    assert.ok(id !== undefined && token !== undefined)
    await serving.shown('started: ')
    const shown = serving.written().match(/https:\/\/\S+/)?.[0] ?? ''
    const path = '/v1/queues/default/tasks/add/jobs'
    const body = { a: 11, b: 22 }
    await until(async () => {
      const { status } = await ask({ method: 'GET', url: `${shown}/v1/jobs/x`, token })
      return status === 404
    })
    const added = await ask({ method: 'POST', url: shown + path, token, body })
    assert.equal(added.status, 201)
    const { id: job } = added.body as { readonly id: string }
    await until(async () => {
      const seen = await ask({ method: 'GET', url: `${shown}/v1/jobs/${job}?secret=1`, token })
      assert.equal(seen.status, 400)
      const { body: record } = await ask({ method: 'GET', url: `${shown}/v1/jobs/${job}`, token })
      return (record as { readonly state: string }).state === 'completed'
    })
    serving.kill('SIGTERM')
    const { code, stdout, stderr } = await serving.ended
    assert.equal(code, 0)
    assert.match(stderr, /No token exists yet, so only programs of this machine/)
    assert.match(
      stdout,
      /"route":"\/v1\/jobs\/\{id\}","status":400,"durationMs":[\d.]+,"token":"[0-9a-f]{12}"/,
    )
    for (const secret of [token.slice(-64), 'secret', '"a":11'])
      assert.ok(!stdout.includes(secret) && !stderr.includes(secret), secret)
  },
)

const refused: readonly (readonly [args: readonly string[], says: RegExp])[] = [
  [['--host', '0.0.0.0'], /plain HTTP.*--plain-http/],
  [['--tls-cert', 'none.pem', '--tls-key', 'none.pem'], /none\.pem cannot be read/],
  [['--rate-limit', '10'], /600\/1m/],
]

test('errand serve that cannot be meant says what to do', async (context) => {
  const cwd = await makeProject(context, { 'errand.config.ts': configText })
  await Promise.all(
    refused.map(async ([args, says]) => {
      const { code, stderr } = await errand(['serve', '--port', '0', ...args], { cwd })
      assert.match(stderr, says)
      assert.equal(code, 2)
    }),
  )
})

test('errand tokens works through a manager, with a token from a file', async (context) => {
  const { errand: app, server } = await manage(context)
  const admin = await tokens(app).create({ scopes: ['admin'], name: 'me' })
  const cwd = await makeProject(context)
  writeFileSync(join(cwd, 'token'), `${admin.token}\n`)
  const run = (...args: readonly string[]): ReturnType<typeof errand> =>
    errand(['tokens', ...args, '--store', server.url], { cwd })
  const made = await run('create', '--scope', 'read', '--queue', 'mail', '--token-file', 'token')
  assert.match(made.stdout, /^errand_[0-9a-f]{12}_[0-9a-f]{64}\n$/)
  const id = made.stdout.slice(7, 19)
  const listed = await run('list', '--token-file', 'token')
  assert.match(listed.stdout, new RegExp(`me +admin +all.*\\n${id} +read +mail`))
  const gone = await run('revoke', id, '--token-file', 'token')
  assert.deepEqual([gone.code, gone.stdout], [0, `revoked ${id}\n`])
  const nobody = await run('list')
  assert.match(nobody.stderr, /401.*needs a token/)
  assert.equal(nobody.code, 2)
})
