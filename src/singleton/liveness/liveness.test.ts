import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { runRules } from '../../testing/conformance/harness.ts'
import { livenessRules, type LivenessHarness } from '../../testing/conformance/liveness-rules.ts'
import { findConsul } from '../../../test/lock-servers.ts'
import { freePort } from '../../../test/services.ts'
import { consulLiveness } from './consul.ts'
import { fileLiveness } from './file.ts'
import { httpLiveness } from './http.ts'

const folder = await mkdtemp(join(tmpdir(), 'errand-liveness-'))
after(() => rm(folder, { recursive: true }))
const consul = await findConsul()
after(() => consul?.stop())

proved('files', async () => fileLiveness({ path: join(folder, 'deep', '{name}.live') }))
if (consul !== null) proved('Consul', async () => consulLiveness({ url: consul.url }))

void describe('HTTP', () => {
  let port = 0
  const harness: LivenessHarness = {
    open: async () => httpLiveness({ port: (port = await freePort()) }),
    another: async () => httpLiveness({ port }),
  }
  runRules({ test: (name, run) => void test(name, run), harness, rules: livenessRules })
})

function proved(name: string, open: () => Promise<ReturnType<typeof fileLiveness>>): void {
  void describe(name, () => {
    const harness = { open, another: open }
    runRules({ test: (rule, run) => void test(rule, run), harness, rules: livenessRules })
  })
}

test('a file of liveness begins with the seconds of the last success, for probes without a parser', async () => {
  const path = join(folder, 'plain')
  const liveness = fileLiveness({ path })
  await liveness.write({ singleton: 'a', kind: 'success', at: 1_790_000_000_999, host: 'here' })
  assert.equal(await readFile(path, 'utf8'), '1790000000 here\n')
})

test('a file of liveness is written through no link, and leaves nothing beside it', async () => {
  const own = join(folder, 'shared')
  await mkdir(own)
  const [path, other] = [join(own, 'live'), join(folder, 'other')]
  await writeFile(other, 'mine')
  await symlink(other, `${path}.${process.pid}.new`)
  const liveness = fileLiveness({ path })
  await symlink(other, path)
  await liveness.write({ singleton: 'a', kind: 'success', at: 1_000, host: 'here' })
  assert.equal(await readFile(other, 'utf8'), 'mine')
  assert.equal(await readFile(path, 'utf8'), '1 here\n')
  await mkdir(join(own, 'taken', 'deep'), { recursive: true })
  const refused = fileLiveness({ path: join(own, 'taken') })
  await assert.rejects(refused.write({ singleton: 'a', kind: 'success', at: 1_000, host: 'h' }))
  assert.deepEqual((await readdir(own)).sort(), ['live', `live.${process.pid}.new`, 'taken'])
})

test('a probe over HTTP gets 200 while the last success is young, else 503', async () => {
  const port = await freePort()
  const liveness = httpLiveness({ port, maxAge: '1h' })
  const beat = { singleton: 'a b', host: 'here' }
  await liveness.write({ ...beat, kind: 'success', at: Date.now() - 60_000 })
  const probe = async (path: string): Promise<number> => {
    const answer = await fetch(`http://127.0.0.1:${port}${path}`)
    await answer.arrayBuffer()
    return answer.status
  }
  try {
    assert.equal(await probe('/a%20b'), 200)
    assert.equal(await probe('/a%20b?max-age=2m'), 200)
    assert.equal(await probe('/a%20b?max-age=30s'), 503)
    assert.equal(await probe('/a%20b?max-age=soon'), 400)
    assert.equal(await probe('/other'), 404)
    // What no name can be ends nothing: the next probe is answered.
    assert.equal(await probe('/%'), 400)
    assert.equal(await probe('/%ff?max-age=2m'), 400)
    assert.equal(await probe('//'), 400)
    assert.equal(await probe('/a%20b'), 200)
  } finally {
    await liveness.close()
  }
})

test('a record in Consul is the one of Jobslib, and a TTL check passes with each success', async () => {
  if (consul === null) return
  const liveness = consulLiveness({ url: consul.url, key: 'jobs/{name}/liveness', checkTtl: '1m' })
  await liveness.write({ singleton: 'a', kind: 'success', at: 1_790_000_000_000, host: 'here' })
  const read = async (path: string): Promise<string> => (await fetch(`${consul.url}${path}`)).text()
  const record = JSON.parse(await read('/v1/kv/jobs/a/liveness?raw')) as Record<string, unknown>
  assert.equal(record['fqdn'], 'here')
  assert.equal(record['timestamp'], 1_790_000_000)
  assert.equal(record['time_utc'], '2026-09-21 14:13:20')
  assert.match(String(record['time_local']), /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/)
  const checks = JSON.parse(await read('/v1/agent/checks')) as Record<string, { Status: string }>
  assert.equal(checks['errand-a']?.Status, 'passing')
  await liveness.close()
})
