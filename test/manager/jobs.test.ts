/** Jobs over the API: added, found, waited for, changed. */
import assert from 'node:assert/strict'
import test, { suite } from 'node:test'
import { createErrand, task, type Errand } from 'errand'
import { manager } from 'errand/manager'
import { memory } from 'errand/memory'
import { testErrand, VirtualClock } from 'errand/testing'
import { z } from 'zod'
import { added, any, api, sendTo, tasks, type Api, type Send } from './harness.ts'

const path = '/v1/queues/default/tasks/add/jobs'
const trace = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'

interface JobBody {
  readonly id: string
  readonly [name: string]: unknown
}

async function bodyOf<T>(send: Send, ...args: Parameters<Send>): Promise<T> {
  const { status, body } = await send(...args)
  assert.ok(status < 300, `${args[0]} ${args[1]}: ${status} ${JSON.stringify(body)}`)
  return body as T
}

const job = (send: Send, id: string): Promise<JobBody> => bodyOf(send, 'GET', `/v1/jobs/${id}`)

suite('adding', () => {
  test('the body is the input, the query its options, and Location where it is', async () => {
    await using one = api()
    const query = 'delay=1h&priority=-5&key=k&group=g&tag=a&tag=b'
    const answer = await one.send('POST', `${path}?${query}`, { json: { a: 1, b: 2 } })
    const { id, ...rest } = answer.body as JobBody
    assert.equal(answer.status, 201)
    assert.deepEqual(rest, { inserted: 'created' })
    assert.equal(answer.headers.get('location'), `/v1/jobs/${id}`)
    const found = await job(one.send, id)
    const { task: name, queue, state, priority, input, key, group, tags, createdAt, dueAt } = found
    assert.deepEqual(
      { name, queue, state, priority, input, key, group, tags },
      {
        name: 'add',
        queue: 'default',
        state: 'scheduled',
        priority: -5,
        input: { a: 1, b: 2 },
        key: 'add:k',
        group: 'g',
        tags: ['a', 'b'],
      },
    )
    assert.equal(Date.parse(String(dueAt)) - Date.parse(String(createdAt)), 3_600_000)
    const again = await one.send('POST', `${path}?key=k`, { json: { a: 5, b: 5 } })
    assert.deepEqual([again.status, again.body], [201, { id, inserted: 'duplicate' }])
  })

  test('runAt is absolute', async () => {
    await using one = api()
    const id = await added(one.send, `${path}?runAt=2030-01-02T03:04:05%2B01:00`, { a: 1, b: 2 })
    assert.equal((await job(one.send, id))['dueAt'], '2030-01-02T02:04:05.000Z')
  })

  test('names with slashes, percents, braces and apostrophes go through whole', async () => {
    await using one = api()
    const queue = `a/b%20{c}'d"e 😀`
    const input = { text: `'; drop table jobs; --{}[]\u0000\\ud800 😀`, n: 1e308 }
    const to = `/v1/queues/${encodeURIComponent(queue)}/tasks/any/jobs`
    const found = await job(one.send, await added(one.send, to, input))
    assert.deepEqual([found['queue'], found['input']], [queue, input])
    const listed = await bodyOf<{ jobs: unknown[] }>(
      one.send,
      'GET',
      `/v1/jobs?queue=${encodeURIComponent(queue)}`,
    )
    assert.equal(listed.jobs.length, 1)
  })

  test('a task whose code only a worker has is checked by its registered schema', async (t) => {
    const store = memory()
    const far = task({
      name: 'far',
      input: z.object({ 'odd/name~': z.array(z.number()) }),
      run: () => null,
    })
    const elsewhere = createErrand({ store, tasks: [far] })
    const here = createErrand({ store, queues: { '*': {} } })
    const worker = elsewhere.worker()
    t.after(async () => {
      await worker.stop()
      await here.close()
    })
    await worker.start()
    const send = sendTo(manager(here, { access: 'open' }).fetch)
    const to = '/v1/queues/default/tasks/far/jobs'
    const bad = await send('POST', to, { json: { 'odd/name~': [1, 'x'] } })
    assert.equal(bad.status, 422)
    const { errors } = bad.body as { errors: { pointer: string }[] }
    assert.deepEqual(
      errors.map(({ pointer }) => pointer),
      ['#/odd~1name~0/1'],
    )
    assert.deepEqual((await here.jobs.list()).jobs, [])
    const good = await send('POST', `${to}?wait=10s`, { json: { 'odd/name~': [1] } })
    assert.equal((good.body as JobBody)['state'], 'completed')
    assert.equal((await send('POST', to.replace('far', 'nobody'), { json: {} })).status, 404)
  })

  test('a queue that the app does not have is 404, unless the app is open to any', async (t) => {
    const errand = createErrand({ store: memory(), tasks, queues: { mine: {} } })
    t.after(() => errand.close())
    const send = sendTo(manager(errand, { access: 'open' }).fetch)
    for (const [queue, status] of [
      ['mine', 201],
      ['default', 201],
      ['mien', 404],
    ] as const) {
      const to = `/v1/queues/${queue}/tasks/add/jobs`
      const answer = await send('POST', to, { json: { a: 1, b: 2 } })
      assert.equal(answer.status, status, JSON.stringify(answer.body))
    }
    assert.equal((await errand.jobs.list()).jobs.length, 2)
  })

  test('many are added all or none, each with options of its own', async () => {
    await using one = api()
    const fine = [
      { task: 'add', input: { a: 1, b: 2 }, delay: '1h', tags: ['x'], headers: { tenant: 't' } },
      { task: 'any', queue: 'q', unique: { key: 'k', for: '1h' }, runAt: '2030-01-01T00:00:00Z' },
      { task: 'any', queue: 'q', unique: { key: 'k' }, retry: { limit: 3 }, retention: 'forever' },
    ]
    const { jobs } = await bodyOf<{ jobs: JobBody[] }>(one.send, 'POST', '/v1/jobs', { json: fine })
    assert.deepEqual(
      jobs.map(({ inserted }) => inserted),
      ['created', 'created', 'duplicate'],
    )
    const first = await job(one.send, jobs[0]!.id)
    assert.deepEqual([first['tags'], first['headers']], [['x'], { tenant: 't' }])
    const before = (await one.errand.jobs.list()).jobs.length
    for (const [bad, status, pointer] of [
      [{ task: 'add', input: { a: 1 } }, 422, '#/3/input/b'],
      [{ task: 'nobody' }, 404, '#/3'],
      [{ task: 'add', input: { a: 1, b: 2 }, delay: 'soon' }, 400, '#/3'],
      [{ task: 'add', input: { a: 1, b: 2 }, runAt: 'soon' }, 400, '#/3'],
      [{ task: 'add', input: { a: 1, b: 2 }, queue: '' }, 400, '#/3'],
      [{ task: 'add', input: { a: 1, b: 2 }, inline: true }, 422, '#/3/inline'],
    ] as const) {
      const answer = await one.send('POST', '/v1/jobs', { json: [...fine, bad] })
      const { errors } = answer.body as { errors: { pointer: string }[] }
      assert.deepEqual([answer.status, errors[0]?.pointer], [status, pointer])
    }
    assert.equal((await one.errand.jobs.list()).jobs.length, before)
    const tooMany = Array.from({ length: 1_001 }, () => ({ task: 'any' }))
    assert.equal((await one.send('POST', '/v1/jobs', { json: tooMany })).status, 422)
  })

  test('the trace of a request reaches the handler and what follows from its job', async (t) => {
    const seen: Record<string, unknown> = {}
    const next = task({
      name: 'next',
      run: (_: unknown, { headers }) => void (seen['next'] = headers),
    })
    const first = task({
      name: 'first',
      onSuccess: next,
      run: (_: unknown, { headers }) => void (seen['first'] = headers),
    })
    const errand = testErrand({ tasks: [first, next] })
    t.after(() => errand.close())
    const send = sendTo(manager(errand, { access: 'open' }).fetch)
    const headers = { traceparent: trace, tracestate: 'vendor=1', cookie: 'secret' }
    await send('POST', '/v1/queues/default/tasks/first/jobs', { json: null, headers })
    const worker = errand.worker()
    await worker.start()
    while (seen['next'] === undefined) await errand.clock.advance(100)
    const carried = { traceparent: trace, tracestate: 'vendor=1' }
    assert.deepEqual(seen, { first: carried, next: carried })
    for (const wrong of [
      'x',
      trace.replace('00-', 'ff-'),
      `00-${'0'.repeat(32)}-${'0'.repeat(16)}-01`,
    ]) {
      const own = { traceparent: wrong, tracestate: 'vendor=1' }
      const id = await added(
        (m, p, s) => send(m, p, { ...s, headers: own }),
        '/v1/queues/default/tasks/first/jobs',
      )
      assert.deepEqual((await job(send, id))['headers'], {})
    }
    // Headers of an entry stand beside the trace and win over it, also where there is room for one of them only.
    const full = { tenant: 't'.repeat(4_050) }
    const own = [{ tenant: 't' }, { traceparent: 'mine', tenant: 't' }, full, undefined]
    const { jobs } = await bodyOf<{ jobs: JobBody[] }>(send, 'POST', '/v1/jobs', {
      json: own.map((given) => ({ task: 'first', headers: given })),
      headers,
    })
    const kept = await Promise.all(jobs.map(async ({ id }) => (await job(send, id))['headers']))
    assert.deepEqual(kept, [
      { ...carried, tenant: 't' },
      { traceparent: 'mine', tracestate: 'vendor=1', tenant: 't' },
      full,
      carried,
    ])
  })
})

suite('results', () => {
  test('an output is waited for, and told in each of its forms', async () => {
    await using one = await working()
    const done = await one.send('POST', `${path}?wait=10s`, { json: { a: 1, b: 2 } })
    const { id, ...ended } = done.body as JobBody
    assert.deepEqual(
      [done.status, ended],
      [201, { inserted: 'created', state: 'completed', output: { sum: 3 } }],
    )
    for (const query of ['', '?wait=1s']) {
      const { status, body } = await one.send('GET', `/v1/jobs/${id}/result${query}`)
      assert.deepEqual([status, body], [200, { output: { sum: 3 } }])
    }
    const nothing = await one.send('POST', '/v1/queues/other/tasks/any/jobs?wait=10s')
    assert.equal((nothing.body as JobBody)['output'], null)
  })

  test('an end without output is 409 with the errors of the job', async () => {
    await using one = await working()
    const to = '/v1/queues/default/tasks/boom/jobs?wait=10s'
    const { body } = await one.send('POST', to)
    const { id, state, reason, errors } = body as JobBody & { errors: Record<string, unknown>[] }
    assert.deepEqual([state, reason, errors[0]?.['message']], ['failed', 'error', 'it broke'])
    for (const query of ['', '?wait=1s']) {
      const answer = await one.send('GET', `/v1/jobs/${id}/result${query}`)
      const problem = answer.body as { code: string; details: { errors: unknown[] } }
      assert.deepEqual([answer.status, problem.code], [409, 'job-failed'])
      assert.deepEqual(problem.details.errors, errors)
    }
    assert.ok(!Number.isNaN(Date.parse(String(errors[0]?.['at']))))
    const cancelled = await added(one.send, `${path}?delay=1h`, { a: 1, b: 2 })
    await one.errand.jobs.cancel(cancelled, { reason: 'why not' })
    const answer = await one.send('GET', `/v1/jobs/${cancelled}/result`)
    assert.deepEqual(
      [answer.status, (answer.body as { code: string }).code],
      [409, 'job-cancelled'],
    )
  })

  test('what has not ended is 202 with its state, at once or when the wait is over', async () => {
    await using one = api()
    const id = await added(one.send, path, { a: 1, b: 2 })
    for (const query of ['', '?wait=20ms']) {
      const { status, body } = await one.send('GET', `/v1/jobs/${id}/result${query}`)
      assert.deepEqual([status, body], [202, { state: 'ready' }])
    }
    const waited = await one.send('POST', `${path}?wait=20ms`, { json: { a: 1, b: 2 } })
    assert.deepEqual([waited.status, (waited.body as JobBody)['state']], [201, 'ready'])
    const nobody = '01a22390-6fae-73e4-99d8-c1b669197fe5'
    for (const wanted of [nobody, 'x', nobody.toUpperCase()]) {
      const { status } = await one.send('GET', `/v1/jobs/${wanted}/result?wait=1s`)
      assert.equal(status, 404)
    }
  })

  test('the lines of a handler come with their times as texts', async (t) => {
    const talks = task({ name: 'talks', run: (_: unknown, { log }) => log.warn('oh {}', { n: 1 }) })
    const errand = createErrand({ store: memory(), tasks: [talks] })
    t.after(() => errand.close())
    await errand.worker().start()
    const send = sendTo(manager(errand, { access: 'open' }).fetch)
    const { id } = (await send('POST', '/v1/queues/default/tasks/talks/jobs?wait=10s'))
      .body as JobBody
    const { lines } = await bodyOf<{ lines: Record<string, unknown>[] }>(
      send,
      'GET',
      `/v1/jobs/${id}/logs`,
    )
    assert.equal(lines.length, 1)
    assert.equal(lines[0]?.['level'], 'warn')
    assert.match(String(lines[0]?.['at']), /^\d{4}-.*Z$/)
    assert.equal((await send('GET', '/v1/jobs/x/logs')).status, 404)
  })
})

suite('finding', () => {
  test('each filter of errand.jobs.list, alone and with others', async () => {
    const clock = new VirtualClock()
    await using one = api(memory({ clock }))
    const a = await added(one.send, `${path}?key=k&group=g&tag=t`, { a: 1, b: 2 })
    await one.errand.jobs.cancel(a)
    await clock.advance(3_600_000)
    const middle = encodeURIComponent(new Date(clock.now() - 1_000).toISOString())
    const b = await added(one.send, '/v1/queues/other/tasks/any/jobs', { 'x.y': [{ z: 'w=1' }] })
    const cases: readonly (readonly [string, readonly string[]])[] = [
      ['', [b, a]],
      ['state=cancelled', [a]],
      ['state=cancelled&state=ready', [b, a]],
      ['task=any', [b]],
      ['queue=default', [a]],
      ['key=add:k', [a]],
      ['group=g', [a]],
      ['tag=t', [a]],
      ['tag=t&queue=other', []],
      ['schedule=nightly', []],
      [`parent=${a}`, []],
      ['input=a=1', [a]],
      [`input=${encodeURIComponent('/x.y/0/z="w=1"')}`, [b]],
      ['output=a=1', []],
      [`createdFrom=${middle}`, [b]],
      [`createdTo=${middle}`, [a]],
      [`finishedFrom=${middle}`, []],
      [`finishedTo=${middle}`, [a]],
    ]
    for (const [query, ids] of cases) {
      const { jobs } = await bodyOf<{ jobs: JobBody[] }>(one.send, 'GET', `/v1/jobs?${query}`)
      assert.deepEqual(
        jobs.map(({ id }) => id),
        ids,
        query,
      )
    }
  })

  test('pages follow each other without gaps, whatever comes meanwhile', async () => {
    await using one = api()
    const ids: string[] = []
    for (let n = 0; n < 7; n += 1) ids.unshift(await added(one.send, path, { a: n, b: 2 }))
    const found: string[] = []
    let next: string | null = null
    do {
      const after: string = next === null ? '' : `&after=${next}`
      const page: { jobs: JobBody[]; next: string | null } = await bodyOf(
        one.send,
        'GET',
        `/v1/jobs?limit=2${after}`,
      )
      found.push(...page.jobs.map(({ id }) => id))
      next = page.next
      await added(one.send, path, { a: 1, b: 2 })
    } while (next !== null)
    assert.deepEqual(found, ids)
  })

  test('a record is that of errand.jobs, its dates as texts', async () => {
    await using one = await working()
    const to = '/v1/queues/default/tasks/boom/jobs?wait=10s'
    const { id } = (await one.send('POST', to)).body as JobBody
    const record = await one.errand.jobs.get(id)
    const iso = (error: { readonly at: number } | null) =>
      error === null ? null : { ...error, at: new Date(error.at).toISOString() }
    const expected = JSON.parse(
      JSON.stringify({
        ...record,
        errors: record?.errors.map(iso),
        runs: record?.runs.map((run) => ({ ...run, error: iso(run.error) })),
      }),
    ) as unknown
    assert.deepEqual(await job(one.send, id), expected)
  })
})

suite('changing', () => {
  test('one job is cancelled, retried and removed, and what does not fit is 409', async () => {
    await using one = api()
    const id = await added(one.send, path, { a: 1, b: 2 })
    const post = async (verb: string, json?: unknown): Promise<readonly unknown[]> => {
      const answer = await one.send(
        'POST',
        `/v1/jobs/${id}/${verb}`,
        json === undefined ? {} : { json },
      )
      const { answer: word, code } = answer.body as { answer?: string; code?: string }
      return [answer.status, word ?? code]
    }
    assert.deepEqual(await post('retry'), [409, 'conflict'])
    assert.deepEqual(await post('cancel', { reason: 'no' }), [200, 'cancelled'])
    assert.equal((await job(one.send, id))['reason'], 'no')
    assert.deepEqual(await post('cancel'), [409, 'conflict'])
    assert.deepEqual(await post('retry'), [200, 'retried'])
    assert.equal((await one.send('DELETE', `/v1/jobs/${id}`)).status, 204)
    assert.equal((await one.send('DELETE', `/v1/jobs/${id}`)).status, 404)
    assert.deepEqual(await post('cancel'), [404, 'job-missing'])
    assert.deepEqual(await post('retry'), [404, 'job-missing'])
  })

  test('a running job is asked to end, and is not removed', async (t) => {
    const started = Promise.withResolvers<void>()
    const long = task({
      name: 'long',
      async run(_: unknown, { signal }) {
        started.resolve()
        await new Promise((_resolve, reject) =>
          signal.addEventListener('abort', () => reject(signal.reason as Error)),
        )
      },
    })
    const errand: Errand = createErrand({ store: memory(), tasks: [long] })
    t.after(() => errand.close())
    await errand.worker().start()
    const send = sendTo(manager(errand, { access: 'open' }).fetch)
    const id = await added(send, '/v1/queues/default/tasks/long/jobs')
    await started.promise
    assert.equal((await send('DELETE', `/v1/jobs/${id}`)).status, 409)
    assert.deepEqual((await send('POST', `/v1/jobs/${id}/cancel`)).body, { answer: 'asked' })
    const result = await send('GET', `/v1/jobs/${id}/result?wait=10s`)
    assert.equal((result.body as { code: string }).code, 'job-cancelled')
  })

  test('many by their ids or by a filter, with what became of each', async () => {
    await using one = api()
    const ids: string[] = []
    for (let n = 0; n < 5; n += 1)
      ids.push(await added(one.send, `${path}?tag=${n % 2 ? 'odd' : 'even'}`, { a: n, b: 2 }))
    const verb = (name: string, json: unknown) =>
      bodyOf<unknown>(one.send, 'POST', `/v1/jobs/${name}`, { json })
    const gone = '01a22390-6fae-73e4-99d8-c1b669197fe5'
    assert.deepEqual(await verb('cancel', { filter: { tag: 'odd' }, reason: 'odd' }), {
      counts: { cancelled: 2 },
      next: null,
    })
    assert.deepEqual(await verb('cancel', { ids: [ids[1], ids[2], gone] }), {
      counts: { final: 1, cancelled: 1, missing: 1 },
      next: null,
    })
    assert.deepEqual(await verb('retry', { filter: { search: { path: ['a'], equals: 1 } } }), {
      counts: { retried: 1 },
      next: null,
    })
    assert.deepEqual(await verb('retry', { filter: { state: ['ready'] } }), {
      counts: {},
      next: null,
    })
    const to = new Date(Date.now() + 60_000).toISOString()
    assert.deepEqual(await verb('remove', { filter: { created: { to } } }), {
      counts: { removed: 5 },
      next: null,
    })
    for (const json of [undefined, {}, { ids: ['x'], filter: {} }, { filter: { tags: 'x' } }, []])
      assert.equal((await one.send('POST', '/v1/jobs/remove', { json })).status, 422)
  })

  test('a filter goes on where the time was over', async () => {
    const clock = new VirtualClock()
    await using one = api(memory({ clock }))
    await one.errand.enqueueMany(Array.from({ length: 1_200 }, () => [any, 1] as const))
    const jobs = { ...one.errand.jobs }
    // Each chunk takes longer than one call has.
    Object.assign(one.errand.jobs, {
      remove: async (ids: readonly string[]) => {
        await clock.advance(21_000)
        return jobs.remove(ids)
      },
    })
    const counts: number[] = []
    let next: string | null = null
    do {
      const json: unknown = { filter: {}, ...(next === null ? {} : { after: next }) }
      const body: { counts: { removed: number }; next: string | null } = await bodyOf(
        one.send,
        'POST',
        '/v1/jobs/remove',
        { json },
      )
      counts.push(body.counts.removed)
      next = body.next
    } while (next !== null)
    assert.deepEqual(counts, [500, 500, 200])
    assert.deepEqual((await one.errand.jobs.list()).jobs, [])
  })
})

/** An app whose jobs are run. */
async function working(): Promise<Api> {
  const one = api()
  await one.errand.worker().start()
  assert.ok(tasks.length > 0)
  return one
}
