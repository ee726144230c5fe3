/** What the calls of a store over HTTP let in: shapes, scopes, queues, repeats, versions. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { scopes, type Scope } from '../../src/manager/caller.ts'
import { calls, type CallName } from '../../src/store/calls.ts'
import { claimOf, finish, newJob, unique, workerOf } from '../../src/testing/conformance/jobs.ts'
import type { Claimed } from '../../src/store/worker-calls.ts'
import type { Page } from '../../src/store/readers.ts'
import { callerWith, jobIn, managerScene, type ManagerScene } from './scene.ts'
import { isFull } from '../full.ts'

const work = callerWith(['work'])

test('a call whose arguments no store can take is refused, and nothing of it is stored', async () => {
  const { call, store } = managerScene()
  const wrong: readonly (readonly [CallName, readonly unknown[]])[] = [
    ['insert', []],
    ['insert', [{}]],
    ['insert', [[newJob(), null]]],
    ['insert', [[newJob(), { ...newJob(), input: 5 }]]],
    ['insert', [[newJob(), newJob({ id: 'no id' })]]],
    ['insert', [[newJob(), newJob({ queue: 'a\nb' })]]],
    ['insert', [[newJob(), newJob({ input: '"\0"' })]]],
    ['insert', [[newJob(), newJob({ input: '"\ud800"' })]]],
    ['insert', [[newJob(), newJob({ priority: 2_000 })]]],
    ['insert', [[newJob(), newJob({ delayMs: 2 ** 53 })]]],
    ['insert', [[newJob(), newJob({ entry: { kind: 'finished' } as never })]]],
    ['insert', [[newJob()], { advance: [{ key: 'k' }] }]],
    ['claim', [{ ...claimOf(), queues: 'all' }]],
    ['claim', [{ ...claimOf(), limit: -1 }]],
    ['claim', [{ ...claimOf(), leaseMs: 1e300 }]],
    ['settle', [[{ id: randomUUID(), token: 1, kind: 'finish' }]]],
    ['settle', [[{ ...finish({ id: randomUUID(), token: 1 }), state: 'done' }]]],
    ['renew', [[{ id: randomUUID(), token: '1' }], 1_000]],
    ['renew', [[{ id: randomUUID(), token: 1 }]]],
    ['note', [[{ id: randomUUID(), token: 1, kind: 'start' }]]],
    ['tend', [{ ...workerOf(), queues: null }]],
    ['get', ['all']],
    ['list', [{ limit: 'many' }]],
    ['putRecords', [[{ key: 'k' }]]],
    ['hold', [{ name: 'lock' }]],
    ['counts', ['more']],
  ]
  for (const [name, args] of wrong)
    assert.equal(await call(name, args), 'invalid-input', `${name} ${JSON.stringify(args)}`)
  assert.deepEqual(await store.counts(), [])
})

test('fields that a newer version sends are let be', async () => {
  const { call } = managerScene()
  const job = { ...newJob(), colour: 'blue' }
  assert.deepEqual(await call('insert', [[job], null]), [
    { id: job.id, status: 'created', token: null },
  ])
})

test('whatever is sent to whatever call, the manager answers what it is', async () => {
  const { post } = managerScene()
  const names = Object.keys(calls)
  const values = fc.anything({ maxDepth: 4, withNullPrototype: false })
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...names),
      fc.array(values, { maxLength: 3 }),
      async (name, args) => {
        const { status, body } = await post(`/v1/store/${name}`, JSON.stringify(args, plain))
        assert.ok(status < 500, `${name}: ${status} ${JSON.stringify(body)}`)
      },
    ),
    { numRuns: isFull ? 10_000 : 200 },
  )
})

test('a token reads, works, operates or enqueues, and does nothing else', async () => {
  const { call, store } = managerScene()
  await store.registerTasks([described('task')])
  const allowed: Readonly<Partial<Record<Scope, readonly CallName[]>>> = {
    read: ['get', 'list', 'counts', 'stats', 'logs', 'queues', 'workers', 'tasks', 'getRecords'],
    enqueue: ['insert', 'tasks'],
    operate: ['get', 'list', 'cancel', 'retry', 'remove', 'take', 'pause', 'resume', 'putRecords'],
    admin: [],
  }
  const args: Partial<Record<CallName, readonly unknown[]>> = {
    insert: [[newJob()]],
    claim: [claimOf()],
    settle: [[]],
    renew: [[], 1_000],
    note: [[]],
    record: [[]],
    rescue: [{ worker: 'w', tasks: [], limit: 1, leaseMs: 1_000 }],
    tend: [workerOf()],
    list: [{ limit: 1 }],
    logs: [randomUUID()],
    recorded: [{ id: randomUUID(), after: null, limit: 1 }],
    cancel: [[], null],
    prune: [{ limit: 1, cap: 1 }],
    listRecords: [{ prefix: '', after: null, limit: 1 }],
    hold: [{ name: 'l', holder: 'h', token: null, ttlMs: 1_000, host: 'h', pid: 1 }],
    release: [{ name: 'l', holder: 'h', token: 1 }],
    lockOwner: ['l'],
  }
  for (const scope of scopes.filter((one) => one !== 'work')) {
    const names = allowed[scope] ?? []
    for (const name of Object.keys(calls) as CallName[]) {
      const needsNone = ['counts', 'stats', 'queues', 'workers', 'tasks'].includes(name)
      const answer = await call(name, args[name] ?? (needsNone ? [] : [[]]), callerWith([scope]))
      if (names.includes(name)) assert.notEqual(answer, 'forbidden', `${scope}: ${name}`)
      else if (
        calls[name].role === 'worker' ||
        (calls[name].role === 'locks' && name !== 'lockOwner')
      )
        assert.equal(answer, 'forbidden', `${scope}: ${name}`)
    }
  }
  for (const name of ['claim', 'cancel', 'get'] as const)
    assert.equal(await call(name, args[name] ?? [[]], callerWith(['enqueue'])), 'forbidden', name)
  assert.equal(await call('cancel', [[], null], callerWith(['read'])), 'forbidden')
  assert.equal(await call('insert', [[newJob()]], callerWith(['operate'])), 'forbidden')
})

test('a token for one queue neither sees nor touches others', async () => {
  const { call, store } = managerScene()
  const only = callerWith(['work', 'read', 'operate'], ['mail'])
  const [mine, other] = [jobIn('mail'), jobIn('secret')]
  await store.insert([mine, other])
  await store.registerTasks([described('task', 'secret'), described('mine', 'mail')])

  assert.equal(await call('insert', [[jobIn('secret')]], only), 'forbidden')
  assert.equal(await call('insert', [[jobIn('mail'), jobIn('secret')]], only), 'forbidden')
  assert.equal(
    await call('claim', [claimOf({ queues: [{ name: 'secret', limit: 1 }] })], only),
    'forbidden',
  )
  assert.equal(await call('pause', [['secret']], only), 'forbidden')
  assert.equal(await call('tend', [workerOf({ queues: ['secret'] })], only), 'forbidden')
  await store.putRecords([{ key: 'schedule', text: 'secret' }])
  assert.deepEqual(await call('getRecords', [['schedule']], only), [null])
  assert.deepEqual(await call('listRecords', [{ prefix: '', after: null, limit: 9 }], only), [])
  assert.equal(await call('putRecords', [[]], only), 'forbidden')

  const [seen, unseen] = (await call('get', [[mine.id, other.id]], only)) as unknown[]
  assert.ok(seen)
  assert.equal(unseen, null)
  const page = (await call('list', [{ limit: 10 }], only)) as Page
  assert.deepEqual(
    page.jobs.map(({ id }) => id),
    [mine.id],
  )
  assert.deepEqual(((await call('list', [{ limit: 10, queue: 'secret' }], only)) as Page).jobs, [])
  assert.deepEqual(await call('counts', [], only), [{ queue: 'mail', state: 'ready', count: 1 }])
  assert.deepEqual(
    ((await call('tasks', [], only)) as { name: string }[]).map(({ name }) => name),
    ['mine'],
  )
  for (const name of ['cancel', 'remove', 'retry'] as const)
    assert.deepEqual(
      await call(name, [[other.id], null].slice(0, name === 'cancel' ? 2 : 1), only),
      ['missing'],
    )
  assert.deepEqual(await call('take', [[other.id]], only), [null])

  const claimed = (await call('claim', [claimOf({ queues: [], others: 10 })], only)) as Claimed
  assert.deepEqual(
    claimed.jobs.map(({ id }) => id),
    [mine.id],
  )
  const rule = unique('k', { onConflict: 'replace' })
  const holder = jobIn('secret', { unique: rule, input: '"secret"' })
  await store.insert([holder])
  const taking = jobIn('mail', { unique: rule, input: '"mail"' })
  const [taken] = (await call('insert', [[taking]], only)) as { status: string }[]
  assert.equal(taken?.status, 'duplicate')
  assert.equal((await store.get([holder.id]))[0]?.input, '"secret"')

  const followUps = [jobIn('secret')]
  assert.equal(await call('settle', [[finish(claimed.jobs[0]!, { followUps })]], only), 'forbidden')
  assert.deepEqual(await call('settle', [[finish(claimed.jobs[0]!)]], only), ['settled'])
  assert.equal((await store.get([other.id]))[0]?.state, 'ready')
})

test('a token that only enqueues brings in what the registry knows and its schema takes', async () => {
  const { call, store } = managerScene()
  const only = callerWith(['enqueue'])
  await store.registerTasks([
    { ...described('task'), inputSchema: '{"type":"object","required":["to"]}' },
  ])
  const good = newJob({ input: '{"to":"me"}' })
  const wrong: readonly (readonly [Partial<ReturnType<typeof newJob>>, string])[] = [
    [{ input: '{}' }, 'invalid-input'],
    [{ input: 'no JSON' }, 'not-json'],
    [{ input: '{"to":1}', task: 'tsk' }, 'unknown-task'],
    [{ ...good, id: newJob().id, codec: 'secret' }, 'forbidden'],
    [{ ...good, id: newJob().id, parent: good.id }, 'forbidden'],
    [
      { ...good, id: newJob().id, needs: [{ kind: 'job', id: good.id, onFailed: 'run' }] },
      'forbidden',
    ],
    [{ ...good, id: newJob().id, holds: [{ id: good.id, onFailed: 'run' }] }, 'forbidden'],
    [
      { ...good, id: newJob().id, entry: { kind: 'running', worker: 'w', leaseMs: 1 } },
      'forbidden',
    ],
  ]
  for (const [over, code] of wrong)
    assert.equal(await call('insert', [[good, newJob(over)]], only), code, JSON.stringify(over))
  const advance = [{ key: 'k', from: null, to: 'x', jobs: [good.id] }]
  assert.equal(await call('insert', [[good], { advance }], only), 'forbidden')
  assert.deepEqual(await store.counts(), [])
  assert.deepEqual(await call('insert', [[good]], only), [
    { id: good.id, status: 'created', token: null },
  ])
})

test('a call that is sent again under its id is not made again', async () => {
  const { post, store } = managerScene()
  const job = newJob()
  await store.insert([job])
  const take = (headers: Record<string, string>) =>
    post('/v1/store/remove', [[job.id]], { headers, caller: work })
  const first = await take({ 'errand-call': 'one' })
  assert.deepEqual(first.body['answer'], ['removed'])
  const again = await take({ 'errand-call': 'one', 'errand-repeat': 'true' })
  assert.deepEqual(again.body['answer'], ['removed'])
  const unseen = await take({ 'errand-call': 'two', 'errand-repeat': 'true' })
  assert.equal(unseen.body['code'], 'unknown-outcome')
  const another = callerWith(['work'])
  const stolen = await post('/v1/store/remove', [[job.id]], {
    headers: { 'errand-call': 'one', 'errand-repeat': 'true' },
    caller: { ...another, token: 'another' },
  })
  assert.equal(stolen.body['code'], 'unknown-outcome')
})

test('an insert that is sent again while the first is under way waits for its answer', async () => {
  const { post, store } = slowly()
  const job = newJob()
  const headers = { 'errand-call': 'one' }
  const first = post('/v1/store/insert', [[job]], { headers })
  const second = post('/v1/store/insert', [[job]], {
    headers: { ...headers, 'errand-repeat': 'true' },
  })
  store.go()
  assert.deepEqual((await first).body, (await second).body)
  assert.equal(store.inserts, 1)
})

test('a client of another protocol is told which side is too old', async () => {
  const { post } = managerScene()
  for (const [version, side] of [
    ['0', 'client'],
    ['99', 'manager'],
    ['x', 'manager'],
  ] as const) {
    const headers = { 'errand-protocol': version }
    const { status, body } = await post('/v1/store/info', [], { headers })
    assert.equal(status, 426)
    assert.match(String(body['detail']), new RegExp(`update the ${side}`))
  }
})

test('the leases of a claim whose caller has gone are given back, unless it asks again', async () => {
  const { post, store } = managerScene()
  const job = newJob()
  await store.insert([job])
  const gone = AbortSignal.abort()
  await post('/v1/store/claim', [claimOf()], { signal: gone })
  assert.equal((await store.get([job.id]))[0]?.state, 'ready')
  const repeated = [claimOf({ id: randomUUID() })]
  await post('/v1/store/claim', repeated, { signal: gone })
  const { body } = await post('/v1/store/claim', repeated)
  assert.equal((body['answer'] as Claimed).jobs[0]?.id, job.id)
})

function described(name: string, queue = 'queue') {
  return { name, aliases: [], queue, inputSchema: null, options: '{"layer":{}}' }
}

/** What JSON cannot hold is left out. */
function plain(_: string, value: unknown): unknown {
  return typeof value === 'bigint' || typeof value === 'symbol' ? undefined : value
}

function slowly(): ManagerScene & { readonly store: { go(): void; readonly inserts: number } } {
  const scene = managerScene()
  const { promise, resolve } = Promise.withResolvers<void>()
  const insert = scene.store.insert.bind(scene.store)
  let inserts = 0
  const store = Object.assign(scene.store, {
    go: resolve,
    async insert(...args: Parameters<typeof insert>) {
      inserts += 1
      await promise
      return insert(...args)
    },
  })
  Object.defineProperty(store, 'inserts', { get: () => inserts })
  return scene as never
}
