/** Queues, schedules, workflows, singletons and what works here, over the API. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import test from 'node:test'
import { createErrand, schedule, singleton, task, workflow } from 'errand'
import { manager } from 'errand/manager'
import { memory } from 'errand/memory'
import { z } from 'zod'
import { routes } from '../../src/manager/routes/index.ts'
import { add, api, boom, sendTo } from './harness.ts'

type Body = Readonly<Record<string, unknown>>

/** An app with some of everything, whose worker runs. */
async function everything() {
  const double = task({ name: 'double', run: ({ n }: { readonly n: number }) => 2 * n })
  const flow = workflow({
    name: 'twice',
    input: z.object({ n: z.number() }),
    build(w, { n }) {
      const first = w.add('first', double, { n })
      w.output(w.add('second', double, { n: first.output }).output)
    },
  })
  const broken = workflow({ name: 'broken', build: (w) => void w.add('boom', boom) })
  const errand = createErrand({
    store: memory(),
    tasks: [add, double, boom],
    queues: { '*': {} },
    workflows: [flow, broken],
    schedules: [schedule({ name: 'yearly', task: add, input: { a: 1, b: 2 }, cron: '0 0 1 1 *' })],
    singletons: [singleton({ name: 'alone', async run() {} })],
  })
  const worker = errand.worker()
  await worker.start()
  const send = sendTo(manager(errand, { access: 'open' }).fetch)
  const get = async (path: string): Promise<Body> => {
    const { status, body } = await send('GET', path)
    assert.equal(status, 200, `${path}: ${JSON.stringify(body)}`)
    return body as Body
  }
  return { errand, worker, send, get }
}

test('no two operations share an id, a path and method, or a path but for the names of parameters', () => {
  const ids = routes.map(({ id }) => id)
  assert.equal(new Set(ids).size, ids.length)
  const shapes = new Map<string, string>()
  for (const { path } of routes) {
    const shape = path.replaceAll(/\{\w+\}/g, '{}')
    assert.equal(shapes.get(shape) ?? path, path)
    shapes.set(shape, path)
  }
  const operations = routes.map(({ method, path }) => `${method} ${path}`)
  assert.equal(new Set(operations).size, operations.length)
})

test('a path of several methods names them all where another is used', async () => {
  await using one = api()
  const { status, headers } = await one.send('DELETE', '/v1/jobs')
  assert.equal(status, 405)
  assert.deepEqual(headers.get('allow')?.split(', ').toSorted(), ['GET', 'POST'])
})

test('queues are paused and resumed, for every process', async (t) => {
  const { errand, send, get } = await everything()
  t.after(() => errand.close())
  for (let n = 0; n < 2; n += 1)
    assert.equal((await send('POST', '/v1/queues/q/pause')).status, 204)
  assert.deepEqual(await get('/v1/queues/q'), { name: 'q', paused: true, counts: {} })
  await errand.enqueue(add, { a: 1, b: 2 }, { queue: 'q' })
  const { queues, found, next } = await get('/v1/queues')
  const [{ oldestReadyAt = null, ...queue } = {}, ...others] = queues as Body[]
  assert.deepEqual(
    [queue, others, found, next],
    [{ name: 'q', paused: true, counts: { ready: 1 } }, [], 1, null],
  )
  assert.ok(Date.parse(String(oldestReadyAt)) <= Date.now())
  const stats = (await get('/v1/stats'))['queues'] as Body[]
  assert.deepEqual([stats[0]?.['queue'], stats[0]?.['counts']], ['q', { ready: 1 }])
  assert.ok(Date.parse(String(stats[0]?.['oldestReadyAt'])) <= Date.now())
  assert.equal((await send('POST', '/v1/queues/q/resume')).status, 204)
  assert.equal((await get('/v1/queues/q'))['paused'], false)
})

test('schedules are seen, paused, resumed, fired, made up for and removed', async (t) => {
  const { errand, worker, send, get } = await everything()
  t.after(() => errand.close())
  const path = '/v1/schedules/yearly'
  const { schedules } = (await get('/v1/schedules')) as { schedules: Body[] }
  assert.deepEqual(schedules, [await get(path)])
  assert.equal(schedules[0]?.['task'], 'add')
  assert.equal((await send('POST', `${path}/pause`, { json: { note: 'a move' } })).status, 204)
  assert.equal(((await get(path))['paused'] as Body)['note'], 'a move')
  assert.equal((await send('POST', `${path}/resume`)).status, 204)
  assert.equal((await get(path))['paused'], null)
  const from = '2030-06-01T00:00:00Z'
  assert.deepEqual(await get(`${path}/next?count=2&from=${from}`), {
    times: ['2031-01-01T00:00:00.000Z', '2032-01-01T00:00:00.000Z'],
  })
  const fired = await send('POST', `${path}/trigger`)
  assert.equal(fired.status, 201)
  const { id } = fired.body as { id: string }
  assert.equal(fired.headers.get('location'), `/v1/jobs/${id}`)
  assert.deepEqual((await get(`/v1/jobs/${id}/result?wait=10s`))['output'], { sum: 3 })
  const range = { from: '2020-06-01T00:00:00Z', to: '2022-06-01T00:00:00Z' }
  const made = await send('POST', `${path}/backfill`, { json: range })
  assert.equal((made.body as { ids: unknown[] }).ids.length, 2)
  const refused = await send('DELETE', path)
  assert.deepEqual([refused.status, (refused.body as Body)['code']], [400, 'invalid-option'])
  await worker.stop()
})

test('workflows are started by name, seen with their nodes, retried and cancelled', async (t) => {
  const { errand, send, get } = await everything()
  t.after(() => errand.close())
  const start = (json: unknown) => send('POST', '/v1/workflows', { json })
  const first = await start({ workflow: 'twice', input: { n: 3 }, tags: ['x'] })
  assert.equal(first.status, 201)
  const { id } = first.body as { id: string }
  assert.equal(first.headers.get('location'), `/v1/workflows/${id}`)
  assert.equal((await get(`/v1/jobs/${id}/result?wait=10s`))['output'], 12)
  const run = await get(`/v1/workflows/${id}`)
  assert.deepEqual([run['workflow'], run['state']], ['twice', 'completed'])
  const nodes = run['nodes'] as Body[]
  assert.ok(nodes.some(({ name }) => name === 'second'))
  const again = await start({ workflow: 'twice', input: { n: 5 }, id })
  assert.deepEqual(again.body, { id })
  const listed = await get('/v1/workflows?limit=10')
  assert.deepEqual(listed['names'], ['twice', 'broken'])
  assert.deepEqual(
    (listed['runs'] as Body[]).map((one) => one['id']),
    [id],
  )
  const defined = (await get('/v1/workflows/definitions'))['workflows'] as Body[]
  const schemas = new Map(defined.map(({ name, inputSchema }) => [name, inputSchema]))
  assert.deepEqual((schemas.get('twice') as Body)['required'], ['n'])
  assert.deepEqual([...schemas].at(-1), ['broken', null])
  const wrong = await start({ workflow: 'twice', input: { n: 'x' } })
  assert.deepEqual((wrong.body as { errors: Body[] }).errors[0]?.['pointer'], '#/n')
  assert.equal((await errand.workflows.list()).runs.length, 1)
  assert.equal((await start({ workflow: 'nope' })).status, 404)
  const broken = (await start({ workflow: 'broken' })).body as { id: string }
  assert.equal((await send('GET', `/v1/jobs/${broken.id}/result?wait=10s`)).status, 409)
  const retried = await send('POST', `/v1/workflows/${broken.id}/retry`)
  assert.ok((retried.body as { jobs: number }).jobs > 0)
  await errand.queues.pause('default')
  const third = (await start({ workflow: 'twice', input: { n: 1 } })).body as { id: string }
  const cancelled = await send('POST', `/v1/workflows/${third.id}/cancel`, {
    json: { reason: 'no' },
  })
  assert.ok((cancelled.body as { jobs: number }).jobs >= 2)
  assert.equal((await get(`/v1/workflows/${third.id}`))['state'], 'cancelled')
})

test('singletons are seen and woken', async (t) => {
  const { errand, send, get } = await everything()
  t.after(() => errand.close())
  assert.deepEqual(await get('/v1/singletons'), {
    singletons: [{ name: 'alone', owner: null, error: null }],
  })
  const ending = new AbortController()
  const running = errand.singletons.run('alone', { signal: ending.signal, flags: { once: true } })
  await running
  ending.abort()
  const one = await get('/v1/singletons/alone')
  assert.ok(Date.parse(String((one['success'] as Body)['at'])) <= Date.now())
  assert.equal((await send('POST', '/v1/singletons/alone/trigger')).status, 204)
})

test('workers, tasks, health and the doctor are told', async (t) => {
  const { errand, get } = await everything()
  t.after(() => errand.close())
  const { workers } = (await get('/v1/workers')) as { workers: Body[] }
  assert.deepEqual([workers.length, workers[0]?.['state']], [1, 'running'])
  const { tasks } = (await get('/v1/tasks')) as { tasks: Body[] }
  const schemas = new Map(tasks.map(({ name, inputSchema }) => [name, inputSchema as Body]))
  assert.deepEqual(schemas.get('add')?.['required'], ['a', 'b'])
  assert.equal((await get('/v1/health'))['status'], 'ok')
  assert.equal((await get('/v1/ready'))['status'], 'ok')
  const [doctor, same] = await Promise.all([get('/v1/doctor'), get('/v1/doctor')])
  assert.deepEqual(doctor, same)
  const checks = (doctor['findings'] as Body[]).map(({ check }) => check)
  for (const check of ['store', 'writes', 'clock', 'workers', 'failed jobs'])
    assert.ok(checks.includes(check), check)
})

test('doctor ends before its next check once nobody waits for what it finds', async () => {
  const store = memory()
  const { lists, warnings } = {
    lists: store.list.bind(store),
    warnings: store.warnings.bind(store),
  }
  let listed = 0
  store.list = (filter) => {
    listed++
    return lists(filter)
  }
  const asked = Promise.withResolvers<void>()
  const answer = Promise.withResolvers<void>()
  store.warnings = async (how) => {
    asked.resolve()
    await answer.promise
    return warnings(how)
  }
  await using own = api(store)
  const [first, second] = [new AbortController(), new AbortController()]
  const doctors = [first, second].map(({ signal }) => own.send('GET', '/v1/doctor', { signal }))
  await asked.promise
  first.abort()
  await Promise.allSettled(doctors.slice(0, 1))
  second.abort()
  await Promise.allSettled(doctors)
  answer.resolve()
  assert.equal((await own.send('GET', '/v1/queues')).status, 200)
  assert.equal(listed, 0)
  // Whoever asks now has findings of their own.
  const { status } = await own.send('GET', '/v1/doctor')
  assert.deepEqual([status, listed > 0], [200, true])
})

test('who leaves before the others takes nothing of what doctor finds from them', async () => {
  const store = memory()
  const warnings = store.warnings.bind(store)
  const asked = Promise.withResolvers<void>()
  const answer = Promise.withResolvers<void>()
  let looks = 0
  store.warnings = async (how) => {
    looks++
    asked.resolve()
    await answer.promise
    return warnings(how)
  }
  await using own = api(store)
  const leaves = new AbortController()
  const first = own.send('GET', '/v1/doctor', { signal: leaves.signal })
  const second = own.send('GET', '/v1/doctor')
  await asked.promise
  leaves.abort()
  await Promise.allSettled([first])
  answer.resolve()
  assert.deepEqual([(await second).status, looks], [200, 1])
})

test('the page of the API names every route with its scopes', () => {
  const page = readFileSync(new URL('../../docs/http-api.md', import.meta.url), 'utf8')
  const missing = routes
    .filter(({ tag }) => tag !== 'store')
    .map(({ method, path, scopes }) => `| \`${method} ${path}\` | ${scopes.join(', ') || '–'} |`)
    .filter((row) => !page.includes(row))
  assert.deepEqual(missing, [])
})
