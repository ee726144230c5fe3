/** Work over HTTP for programs of any language: each request as a person would write it. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import test from 'node:test'
import { task } from 'errand'
import type { JobRecord } from 'errand'
import { listen, manager } from '../../src/manager/index.ts'
import { memory } from '../../src/stores/memory/index.ts'
import { VirtualClock } from '../../src/testing/virtual-clock.ts'
import { tellMissing } from '../services.ts'
import { callerWith, managerScene, type ManagerScene } from './scene.ts'

interface Handed {
  readonly id: string
  readonly token: number
  readonly input: unknown
  readonly attempt: number
}

const count = { name: 'text.count', input: { type: 'object', required: ['text'] } }

async function claim(scene: ManagerScene, over: object = {}): Promise<readonly Handed[]> {
  const { status, body } = await scene.post('/v1/work/claim', { tasks: ['text.count'], ...over })
  assert.equal(status, 200, JSON.stringify(body))
  return body['jobs'] as readonly Handed[]
}

/** A manager whose store has a clock to move, with one task that a worker brought. */
async function brought(options: object = {}, more: object = {}) {
  const clock = new VirtualClock()
  const scene = managerScene({ store: memory({ clock }), ...more })
  const { status } = await scene.post('/v1/work/tasks', { tasks: [{ ...count, options }] })
  assert.equal(status, 200)
  return { ...scene, clock, job: (id: string) => scene.errand.jobs.get(id) as Promise<JobRecord> }
}

test('a job is claimed, renewed and completed, and its output is its result', async () => {
  const scene = await brought()
  const { id } = await scene.errand.enqueue('text.count', { text: 'a b' })
  const [handed] = await claim(scene, { worker: 'mine' })
  assert.equal(handed?.id, id)
  assert.deepEqual(handed.input, { text: 'a b' })
  assert.equal(handed.attempt, 1)
  const { token } = handed
  const kept = await scene.post(`/v1/work/${id}/renew`, {
    token,
    progress: { half: true },
    logs: [{ text: 'so far' }],
  })
  assert.deepEqual(kept.body, { leaseMs: 30_000, cancel: false })
  assert.deepEqual((await scene.job(id)).progress, { half: true })
  const done = { token, output: { words: 2 }, worker: 'mine' }
  const { body } = await scene.post(`/v1/work/${id}/complete`, done)
  assert.deepEqual(body, { state: 'completed' })
  assert.deepEqual((await scene.post(`/v1/work/${id}/complete`, done)).body, { state: 'completed' })
  const job = await scene.job(id)
  assert.equal(job.state, 'completed')
  assert.deepEqual(job.output, { words: 2 })
  assert.deepEqual(
    (await scene.errand.workers.list()).map((one) => one.id),
    ['mine'],
  )
})

test('a failed attempt is retried as the options of the task say, and fails for good after the last', async () => {
  const scene = await brought({
    retry: { limit: 1, backoff: { kind: 'constant', delayMs: 5_000 } },
  })
  const { id } = await scene.errand.enqueue('text.count', { text: '' })
  const fail = async (over: object = {}) => {
    const [handed] = await claim(scene)
    const error = { type: 'ValueError', message: 'no words', stack: 'line 1', code: 'E1' }
    const said = { token: handed!.token, error, ranMs: 20, ...over }
    return (await scene.post(`/v1/work/${id}/fail`, said)).body['state']
  }
  assert.equal(await fail(), 'scheduled')
  assert.deepEqual(await claim(scene), [])
  await scene.clock.advance(5_001)
  assert.equal(await fail(), 'failed')
  const job = await scene.job(id)
  assert.equal(job.errors.length, 2)
  const [error] = job.errors
  assert.equal(error?.type, 'ValueError')
  assert.equal(error?.message, 'no words')
  assert.equal(error?.code, 'E1')
})

test('a worker may fail a job for good, say when to try again, put it off, discard it and give it back', async () => {
  const scene = await brought()
  const said = async (verb: string, over: object, at: string) => {
    const { id } = await scene.errand.enqueue('text.count', { text: verb })
    const [handed] = await claim(scene)
    const { body } = await scene.post(`/v1/work/${id}/${verb}`, { token: handed!.token, ...over })
    assert.deepEqual(body, { state: at }, verb)
    return scene.job(id)
  }
  await said('fail', { retry: false }, 'failed')
  assert.equal((await said('fail', { retryInMs: 60_000 }, 'scheduled')).attempt, 1)
  await said('postpone', { delayMs: 60_000 }, 'scheduled')
  await said('discard', { reason: 'no need' }, 'discarded')
  await said('release', {}, 'ready')
})

test('what follows a job of a task that the manager knows is enqueued with its end', async () => {
  const next = task({ name: 'next', run: () => null })
  const first = task({ name: 'text.count', onSuccess: [next] })
  const scene = managerScene({ tasks: [first, next] })
  const { id } = await scene.errand.enqueue('text.count', { text: 'a' })
  const [handed] = await claim(scene)
  await scene.post(`/v1/work/${id}/complete`, { token: handed!.token, output: 5 })
  const { jobs } = await scene.errand.jobs.list({ task: 'next' })
  assert.equal(jobs.length, 1)
  assert.equal(jobs[0]?.input, 5)
})

test('who lost its lease is told, and changes nothing', async () => {
  const scene = await brought()
  const { id } = await scene.errand.enqueue('text.count', { text: 'a' })
  const [first] = await claim(scene)
  await scene.clock.advance(10_001)
  const [second] = await claim(scene)
  assert.equal(second?.id, id)
  for (const verb of ['renew', 'complete', 'fail', 'release']) {
    const { status, body } = await scene.post(`/v1/work/${id}/${verb}`, { token: first!.token })
    assert.equal(status, 409, verb)
    assert.equal(body['code'], 'lease-lost')
  }
  const { body } = await scene.post(`/v1/work/${id}/complete`, { token: second.token })
  assert.deepEqual(body, { state: 'completed' })
})

test('a job whose worker died after its start was told is lost, and comes again', async () => {
  const scene = await brought()
  const { id } = await scene.errand.enqueue('text.count', { text: 'a' })
  const [first] = await claim(scene)
  await scene.post(`/v1/work/${id}/renew`, { token: first!.token })
  await scene.clock.advance(30_001)
  assert.deepEqual(await claim(scene), [])
  const job = await scene.job(id)
  assert.equal(job.runs[0]?.outcome, 'lost')
  await scene.clock.advance(60_000)
  assert.equal((await claim(scene))[0]?.id, id)
})

test('a cancel is told with the next renewal, and wins over a failure', async () => {
  const scene = await brought()
  const { id } = await scene.errand.enqueue('text.count', { text: 'a' })
  const [handed] = await claim(scene)
  await scene.errand.jobs.cancel(id)
  const { token } = handed!
  assert.equal((await scene.post(`/v1/work/${id}/renew`, { token })).body['cancel'], true)
  const { body } = await scene.post(`/v1/work/${id}/fail`, { token })
  assert.deepEqual(body, { state: 'cancelled' })
})

test('jobs of other tasks in the same queue are left to others', async () => {
  const scene = await brought()
  await scene.post('/v1/work/tasks', { tasks: [{ name: 'other' }] })
  const { id } = await scene.errand.enqueue('other', {})
  assert.deepEqual(await claim(scene, { limit: 10 }), [])
  const job = await scene.job(id)
  assert.equal(job.state, 'scheduled')
  assert.equal(job.runs.length, 0)
})

test('a claim waits for work, and one repeated under its id gets the same job', async () => {
  const scene = await brought()
  const waiting = claim(scene, { wait: 30, claimId: 'one' })
  const { id } = await scene.errand.enqueue('text.count', { text: 'a' })
  const [handed] = await waiting
  assert.equal(handed?.id, id)
  assert.deepEqual(await claim(scene, { claimId: 'one' }), [handed])
  assert.deepEqual(await claim(scene, { claimId: 'two' }), [])
})

test('a thousand claims that wait cost one claim for each job, and those who left get none', async () => {
  const scene = await brought()
  const counted = { claims: 0 }
  const plain = scene.store.claim.bind(scene.store)
  Object.assign(scene.store, {
    claim(...args: Parameters<typeof plain>) {
      counted.claims += 1
      return plain(...args)
    },
  })
  const body = { tasks: ['text.count'], wait: 30 }
  const leaving = new AbortController()
  const waiting = Array.from({ length: 1_000 }, (_, n) =>
    scene.post('/v1/work/claim', body, n < 10 ? { signal: leaving.signal } : {}),
  )
  while (counted.claims < 1_000) await new Promise(setImmediate)
  leaving.abort()
  const gone = await Promise.all(waiting.slice(0, 10))
  assert.ok(gone.every((one) => (one.body['jobs'] as unknown[]).length === 0))
  counted.claims = 0
  const first = Promise.race(waiting.slice(10))
  const { id } = await scene.errand.enqueue('text.count', { text: 'a' })
  assert.equal(((await first).body['jobs'] as Handed[])[0]?.id, id)
  assert.ok(counted.claims < 10, `${counted.claims} claims`)
})

test('a token for other queues gets no work, and what cannot be read is refused', async () => {
  const scene = await brought()
  const caller = callerWith(['work'], ['mail'])
  for (const [path, body] of [
    ['/v1/work/claim', { tasks: ['text.count'] }],
    ['/v1/work/claim', { tasks: ['text.count'], queues: ['default'] }],
    ['/v1/work/tasks', { tasks: [{ name: 'mine' }] }],
  ] as const)
    assert.equal((await scene.post(path, body, { caller })).status, 403)
  const reader = callerWith(['read', 'enqueue'])
  assert.equal(
    (await scene.post('/v1/work/claim', { tasks: ['x'] }, { caller: reader })).status,
    403,
  )
  for (const [path, body, expected] of [
    ['/v1/work/claim', {}, 422],
    ['/v1/work/claim', { tasks: ['x'], wait: 1_000 }, 422],
    ['/v1/work/claim', { tasks: ['x'], colour: 'blue' }, 422],
    ['/v1/work/tasks', { tasks: [{ name: 'x', options: { retri: 1 } }] }, 400],
    ['/v1/work/tasks', { tasks: [{ name: 'x', input: { type: 'nonsense' } }] }, 400],
    ['/v1/work/x/complete', { token: 'x' }, 422],
  ] as const) {
    const { status, body: problem } = await scene.post(path, body)
    assert.equal(status, expected, JSON.stringify([path, body, problem]))
  }
})

const python = '/usr/bin/python3'
const hasPython = existsSync(python)
if (!hasPython) tellMissing('NO WORKER IN PYTHON IS TESTED: install python3')

test('the worker in Python runs jobs', { skip: !hasPython }, async (t) => {
  const { errand } = managerScene()
  const made = manager(errand)
  const server = await listen(made, { port: 0 })
  const file = join(import.meta.dirname, '../../examples/python/worker.py')
  const child = spawn(python, [file], { env: { ...process.env, ERRAND_URL: server.url } })
  const ended = once(child, 'exit')
  t.after(async () => {
    child.kill('SIGTERM')
    await ended
    await server.close()
    await errand.close()
  })
  child.stderr.pipe(process.stderr)
  await once(createInterface({ input: child.stdout }), 'line')
  while (!(await errand.tasks.list()).some(({ name }) => name === 'text.count'))
    await new Promise((resolve) => setTimeout(resolve, 20))
  const job = await errand.enqueue('text.count', { text: 'one two three' })
  assert.deepEqual(await job.result({ timeout: '30s' }), { words: 3 })
  await assert.rejects(errand.enqueue('text.count', { text: 5 }), /text/)
})
