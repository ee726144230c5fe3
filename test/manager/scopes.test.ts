/** What a caller may do and see, by the scopes and the queues of their token. */
import assert from 'node:assert/strict'
import test, { suite } from 'node:test'
import { createErrand, schedule, task, type Errand } from 'errand'
import { manager } from 'errand/manager'
import { memory } from 'errand/memory'
import { scopes as all, type Scope } from '../../src/manager/caller.ts'
import { routes } from '../../src/manager/routes/index.ts'
import { add, any, sendTo, tasks, type Send } from './harness.ts'

const unknown = '01a22390-6fae-73e4-99d8-c1b669197fe5'

/** One job waits at a time, with the newest input. */
const latest = task({
  name: 'latest',
  unique: { key: () => 'one', onConflict: 'replace' },
  run: (input: unknown) => input,
})

/** An app with a job in each of two queues, and schedules of both. */
async function app() {
  const errand = createErrand({
    store: memory(),
    tasks: [...tasks, latest],
    queues: { '*': {} },
    schedules: [
      schedule({ name: 'mine', task: add, input: { a: 1, b: 2 }, cron: '0 0 1 1 *' }),
      schedule({ name: 'theirs', task: any, cron: '0 0 1 1 *' }),
    ],
  })
  const worker = errand.worker()
  await worker.start()
  await worker.stop()
  const mine = await errand.enqueue(add, { a: 1, b: 2 }, { delay: '1h' })
  const theirs = await errand.enqueue(any, { secret: 1 }, { delay: '1h', unique: { key: 'k' } })
  return { errand, mine: mine.id, theirs: theirs.id }
}

function as(errand: Errand, scopes: readonly Scope[], queues?: readonly string[]): Send {
  return sendTo(handlerAs(errand, scopes, queues))
}

function handlerAs(
  errand: Errand,
  scopes: readonly Scope[],
  queues?: readonly string[],
): (request: Request) => Promise<Response> {
  const access = () => ({ scopes, ...(queues === undefined ? {} : { queues }) })
  return manager(errand, { access }).fetch
}

suite('scopes', () => {
  test('each route is open to its scopes alone: any other is 403, and nothing happens', async (t) => {
    const { errand } = await app()
    t.after(() => errand.close())
    const before = await errand.jobs.counts()
    for (const route of routes) {
      const target = route.path.replaceAll(/\{(\w+)\}/g, unknown)
      const others = all.filter((scope) => !route.scopes.includes(scope))
      const answer = await as(errand, others)(route.method, target)
      const isOpen = route.scopes.length === 0
      assert.equal(answer.status === 403, !isOpen, `${route.method} ${target}: ${answer.status}`)
    }
    assert.deepEqual(await errand.jobs.counts(), before)
  })

  test('reading is GET, and every GET is reading, or open to all', () => {
    for (const { method, path, scopes, tag } of routes) {
      if (tag === 'store' || tag === 'tokens' || tag === 'session') continue
      assert.equal(method === 'GET', scopes.length === 0 || scopes.includes('read'), path)
    }
  })
})

suite('queues of a token', () => {
  test('what lies in other queues is neither seen nor touched', async (t) => {
    const { errand, mine, theirs } = await app()
    t.after(() => errand.close())
    const send = as(errand, all, ['default'])
    const get = async (path: string): Promise<unknown> => (await send('GET', path)).body
    const status = async (...request: Parameters<Send>): Promise<number> =>
      (await send(...request)).status

    assert.equal(await status('GET', `/v1/jobs/${mine}`), 200)
    for (const path of ['', '/result', '/result?wait=1s', '/logs'])
      assert.equal(await status('GET', `/v1/jobs/${theirs}${path}`), 404, path)
    const ids = async (path: string) =>
      ((await get(path)) as { jobs: { id: string }[] }).jobs.map(({ id }) => id)
    assert.deepEqual(await ids('/v1/jobs'), [mine])
    assert.deepEqual(await ids('/v1/jobs?queue=other'), [])
    assert.deepEqual(await ids('/v1/jobs?input=secret=1'), [])

    for (const verb of ['take', 'cancel', 'retry'])
      assert.equal(
        await status('POST', `/v1/jobs/${theirs}/${verb}`, { json: { id: 'x' } }),
        verb === 'cancel' ? 422 : 404,
      )
    assert.equal(await status('POST', `/v1/jobs/${theirs}/cancel`), 404)
    assert.equal(await status('DELETE', `/v1/jobs/${theirs}`), 404)
    const removed = await send('POST', '/v1/jobs/remove', { json: { ids: [theirs] } })
    assert.deepEqual(removed.body, { counts: { missing: 1 }, next: null })
    const cancelled = await send('POST', '/v1/jobs/cancel', { json: { filter: {} } })
    assert.deepEqual(cancelled.body, { counts: { cancelled: 1 }, next: null })
    assert.equal((await errand.jobs.get(theirs))?.state, 'scheduled')

    assert.deepEqual(
      ((await get('/v1/queues')) as { queues: { name: string }[] }).queues.map(({ name }) => name),
      ['default'],
    )
    assert.deepEqual(
      ((await get('/v1/stats')) as { queues: { queue: string }[] }).queues.map(
        ({ queue }) => queue,
      ),
      ['default'],
    )
    assert.equal(await status('GET', '/v1/queues/other'), 403)
    assert.equal(await status('POST', '/v1/queues/other/pause'), 403)
    assert.equal(await status('POST', '/v1/queues/default/pause'), 204)

    const named = (await get('/v1/tasks')) as { tasks: { name: string; queue: string }[] }
    assert.ok(named.tasks.length > 0 && named.tasks.every(({ queue }) => queue === 'default'))
    const { workers } = (await get('/v1/workers')) as { workers: { queues: string[] }[] }
    assert.ok(workers.every(({ queues }) => !queues.includes('other')))

    const { schedules } = (await get('/v1/schedules')) as { schedules: { name: string }[] }
    assert.deepEqual(
      schedules.map(({ name }) => name),
      ['mine'],
    )
    assert.equal(await status('GET', '/v1/schedules/mine'), 200)
    for (const [method, path] of [
      ['GET', ''],
      ['GET', '/next'],
      ['POST', '/pause'],
      ['POST', '/resume'],
      ['POST', '/trigger'],
      ['DELETE', ''],
    ] as const)
      assert.equal(await status(method, `/v1/schedules/theirs${path}`), 404, path)
    for (const path of [
      '/v1/workflows',
      '/v1/workflows/definitions',
      '/v1/singletons',
      '/v1/doctor',
      `/v1/workflows/${unknown}`,
    ])
      assert.equal(await status('GET', path), 403, path)
  })

  test('jobs go into these queues alone, whatever a request says', async (t) => {
    const { errand, theirs } = await app()
    t.after(() => errand.close())
    const send = as(errand, ['enqueue', 'read'], ['default'])
    const status = async (path: string, json: unknown): Promise<number> =>
      (await send('POST', path, { json })).status
    const input = { a: 1, b: 2 }
    assert.equal(await status('/v1/queues/default/tasks/add/jobs', input), 201)
    assert.equal(await status('/v1/queues/other/tasks/add/jobs', input), 403)
    for (const [entry, wanted] of [
      [{ task: 'add', input }, 201],
      [{ task: 'add', input, queue: 'default' }, 201],
      [{ task: 'add', input, queue: 'other' }, 403],
      [{ task: 'any' }, 403],
      [{ task: 'nobody' }, 403],
      [{ task: 'add', input, onSuccess: 'any' }, 403],
      [{ task: 'add', input, onFailure: ['any'] }, 403],
      [{ task: 'add', input, before: 'any' }, 403],
    ] as const)
      assert.equal(await status('/v1/jobs', [entry]), wanted, JSON.stringify(entry))
    assert.equal(await status('/v1/workflows', { workflow: 'x' }), 403)
    // The job that holds the key lies in a queue of others: its id is no secret, how it stands is.
    const duplicate = await send('POST', '/v1/queues/default/tasks/any/jobs?key=k&wait=1ms')
    assert.deepEqual(duplicate.body, { id: theirs, inserted: 'duplicate' })
    const { jobs } = await errand.jobs.list({ queue: 'other' })
    assert.deepEqual(
      jobs.map(({ id }) => id),
      [theirs],
    )
  })

  test('a job replaces one of these queues, and none of another', async (t) => {
    const { errand, theirs } = await app()
    t.after(() => errand.close())
    const mine = as(errand, ['enqueue'], ['default'])
    const every = as(errand, ['enqueue'])
    const unique = { key: 'k', onConflict: 'replace' }
    const entry = { task: 'any', input: { mine: 1 }, unique }
    const put = async (send: Send, queue: string): Promise<unknown> =>
      (await send('POST', '/v1/jobs', { json: [{ ...entry, queue }] })).body
    assert.deepEqual(await put(mine, 'default'), { jobs: [{ id: theirs, inserted: 'duplicate' }] })
    const job = await errand.jobs.get(theirs)
    assert.deepEqual([job?.queue, job?.input], ['other', { secret: 1 }])
    assert.deepEqual(await put(every, 'default'), { jobs: [{ id: theirs, inserted: 'replaced' }] })
    // Now it is one of these queues.
    assert.deepEqual(await put(mine, 'default'), { jobs: [{ id: theirs, inserted: 'replaced' }] })

    const latest = '/v1/queues/default/tasks/latest/jobs'
    const { id } = await errand.enqueue('latest', 'theirs', { queue: 'other', delay: '1h' })
    for (const headers of [{}, { 'idempotency-key': 'once' }]) {
      const { body } = await mine('POST', latest, { json: 'mine', headers })
      assert.deepEqual(body, { id, inserted: 'duplicate' })
    }
    assert.equal((await errand.jobs.get(id))?.input, 'theirs')
  })

  test('a stream tells of these queues alone', async (t) => {
    const { errand, theirs } = await app()
    t.after(() => errand.close())
    const seen: string[] = []
    const handle = handlerAs(errand, ['read'], ['default', 'math'])
    const stream = await handle(new Request('http://127.0.0.1:8220/v1/events'))
    const own = await errand.enqueue(add, { a: 3, b: 4 }, { queue: 'math', delay: '1h' })
    await errand.jobs.cancel(theirs)
    const hidden = await handle(new Request(`http://127.0.0.1:8220/v1/events?job=${theirs}`))
    for (const [{ body }, until] of [
      [stream, own.id],
      [hidden, 'gone'],
    ] as const) {
      const reader = body!.pipeThrough(new TextDecoderStream()).getReader()
      let text = ''
      while (!text.includes(until)) text += (await reader.read()).value ?? ''
      seen.push(text)
      await reader.cancel()
    }
    const [all = '', one = ''] = seen
    assert.ok(!all.includes(theirs) && !all.includes('"other"'), all)
    assert.ok(!one.includes('other'), one)
    const other = await handle(new Request('http://127.0.0.1:8220/v1/events?queue=other'))
    assert.equal(other.status, 403)
  })
})
