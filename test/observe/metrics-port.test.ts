/** `errand worker --metrics-port`: what it serves, and that trouble with it is no trouble of the jobs. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { access, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import { configText, errand, makeProject, start } from '../cli/command-line.ts'
import { comesUp, freePort } from '../services.ts'

const run = ['enqueue', 'add', '{"a":1,"b":2}', '--wait'] as const

test('a worker serves metrics, health and readiness, and nothing else', async (t) => {
  const cwd = await makeProject(t, { 'errand.config.ts': configText })
  const port = await freePort()
  const worker = start(['worker', '--metrics-port', String(port)], { cwd })
  t.after(() => worker.kill('SIGKILL'))
  await worker.shown(' started: ')
  assert.equal((await errand([...run], { cwd })).code, 0)
  const get = (path: string): Promise<Response> => fetch(`http://127.0.0.1:${port}${path}`)
  await comesUp('the count', async () => {
    const text = await (await get('/metrics')).text()
    assert.match(
      text,
      /^errand_attempts_total\{queue="default",task="add",outcome="completed"\} 1$/m,
    )
    assert.match(text, /^errand_slots\{state="used"\} 0$/m)
    assert.match(text, /^errand_store_call_seconds_count\{call="claim"\} [1-9]/m)
  })
  assert.deepEqual(await (await get('/health')).json(), { status: 'ok' })
  assert.deepEqual(await (await get('/ready')).json(), { status: 'ok' })
  assert.equal((await get('/else')).status, 404)
  worker.kill('SIGTERM')
  assert.equal((await worker.ended).code, 0)
})

test('a port that is taken is said once, and the jobs run', async (t) => {
  const cwd = await makeProject(t, { 'errand.config.ts': configText })
  const other = createServer().listen(0, '127.0.0.1')
  t.after(() => other.close())
  await once(other, 'listening')
  const address = other.address()
  assert.ok(address !== null && typeof address === 'object')
  const worker = start(['worker', '--metrics-port', String(address.port)], { cwd })
  t.after(() => worker.kill('SIGKILL'))
  await worker.shown(' started: ')
  assert.equal((await errand([...run], { cwd })).code, 0)
  worker.kill('SIGTERM')
  const { code, stdout } = await worker.ended
  assert.equal(code, 0)
  assert.equal([...stdout.matchAll(/Metrics are not served at .*EADDRINUSE/g)].length, 1)
})

test('a worker keeps its health as a file, and one that cannot be written is said once', async (t) => {
  const cwd = await makeProject(t, { 'errand.config.ts': configText })
  const path = join(cwd, 'health')
  const worker = start(['worker', '--health-file', path], { cwd })
  t.after(() => worker.kill('SIGKILL'))
  await comesUp('the file', () => access(path))
  assert.match(await readFile(path, 'utf8'), /"status":"ok"/)
  const { mtimeMs } = await stat(path)
  await comesUp('the next', async () => assert.ok((await stat(path)).mtimeMs > mtimeMs))
  worker.kill('SIGTERM')
  assert.equal((await worker.ended).code, 0)
  await assert.rejects(access(path))

  const other = start(['worker', '--health-file', join(cwd, 'no/such/folder')], { cwd })
  t.after(() => other.kill('SIGKILL'))
  await other.shown('The health file')
  assert.equal((await errand([...run], { cwd })).code, 0)
  other.kill('SIGTERM')
  const { code, stdout } = await other.ended
  assert.deepEqual([code, [...stdout.matchAll(/The health file/g)].length], [0, 1])
})
