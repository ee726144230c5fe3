/** Requests that are sent again: with an `Idempotency-Key`, and takes of results. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { suite, type TestContext } from 'node:test'
import { memory } from 'errand/memory'
import { sqlite } from 'errand/sqlite'
import type { CallName, Store } from 'errand/store'
import { VirtualClock } from 'errand/testing'
import { added, api, type Answered, type Api, type Send } from './harness.ts'

const hour = 3_600_000
const path = '/v1/queues/default/tasks/add/jobs'
const single = '/v1/queues/default/tasks/single/jobs?delay=1h'

suite('Idempotency-Key', () => {
  test('the same request gets the first answer, another one 422', async () => {
    await using one = api()
    const first = await keyed(one.send, path, 'k', { a: 1, b: 2 })
    assert.equal(first.status, 201)
    // The order of keys is no difference.
    const again = await keyed(one.send, path, '"k"', { b: 2, a: 1 })
    assert.deepEqual([again.status, again.body], [201, first.body])
    for (const other of [
      keyed(one.send, path, 'k', { a: 1, b: 3 }),
      keyed(one.send, `${path}?priority=5`, 'k', { a: 1, b: 2 }),
      keyed(one.send, '/v1/queues/other/tasks/add/jobs', 'k', { a: 1, b: 2 }),
      keyed(one.send, '/v1/queues/default/tasks/any/jobs', 'k', { a: 1, b: 2 }),
    ]) {
      const { status, body } = await other
      assert.deepEqual([status, (body as { code: string }).code], [422, 'key-reused'])
    }
    assert.equal(await countOf(one), 1)
    assert.notEqual(idOf(await keyed(one.send, path, 'k2', { a: 1, b: 2 })), idOf(first))
  })

  test('what differs only in its wait or its trace is the same request', async () => {
    await using one = api()
    const first = await keyed(one.send, path, 'k', { a: 1, b: 2 })
    const again = await one.send('POST', `${path}?wait=1ms`, {
      json: { a: 1, b: 2 },
      headers: { 'idempotency-key': 'k', traceparent: trace },
    })
    assert.equal(idOf(again), idOf(first))
  })

  test('a request that is refused leaves its key to the next', async () => {
    await using one = api()
    assert.equal((await keyed(one.send, path, 'k', { a: 1 })).status, 422)
    assert.equal((await keyed(one.send, path, 'k', { a: 1, b: 2 })).status, 201)
    await using two = api()
    assert.equal((await keyed(two.send, `${single}&priority=9999`, 'k', 1)).status, 400)
    assert.equal((await keyed(two.send, single, 'k', 1)).status, 201)
  })

  for (const kind of ['add', 'single'] as const) {
    const to = kind === 'add' ? path : single
    test(`${kind}: of many at once on several managers one adds the job`, async (t) => {
      const managers = await several(t, 3)
      const answers = await Promise.all(
        Array.from({ length: 30 }, (_, n) => keyed(managers[n % 3]!.send, to, 'k', { a: 1, b: 2 })),
      )
      const statuses = new Set(answers.map(({ status }) => status))
      assert.ok(
        [...statuses].every((status) => [201, 409].includes(status)),
        [...statuses].join(),
      )
      const ids = answers.filter(({ status }) => status === 201).map(idOf)
      assert.equal(new Set(ids).size, 1)
      assert.equal(await countOf(managers[0]!), 1)
      const late = await keyed(managers[1]!.send, to, 'k', { a: 1, b: 2 })
      assert.equal(idOf(late), ids[0])
    })

    test(`${kind}: whichever call a manager dies at, the repeat adds the job once`, async () => {
      for (let calls = 0, isOver = false; !isOver; calls += 1) {
        for (const when of ['before', 'after'] as const) {
          const clock = new VirtualClock()
          const store = memory({ clock })
          const dying = dyingAt(store, calls, when)
          await using first = api(dying.store)
          const died = await keyed(first.send, to, 'k', { a: 1, b: 2 })
          if (!dying.hasDied()) isOver = true
          await using second = api(store)
          let answer = await keyed(second.send, to, 'k', { a: 1, b: 2 })
          if (answer.status === 409) {
            // It may still be under way elsewhere; after two minutes it cannot.
            await clock.advance(121_000)
            answer = await keyed(second.send, to, 'k', { a: 1, b: 2 })
          }
          const told = `died ${when} call ${calls}: ${JSON.stringify(answer.body)}`
          assert.equal(answer.status, 201, told)
          assert.equal(await countOf(second), 1, told)
          assert.equal(idOf(answer), (await second.errand.jobs.list()).jobs[0]?.id, told)
          if (died.status === 201) assert.equal(idOf(died), idOf(answer), told)
        }
      }
    })
  }

  test('a task that is unique keeps its own rule: a key of another request gets its job', async () => {
    await using one = api()
    const first = await keyed(one.send, single, 'a', 1)
    const other = await keyed(one.send, single, 'b', 1)
    assert.deepEqual(other.body, { id: idOf(first), inserted: 'duplicate' })
    assert.deepEqual((await keyed(one.send, single, 'b', 1)).body, other.body)
    assert.deepEqual((await keyed(one.send, single, 'a', 1)).body, first.body)
  })

  test('a key is forgotten after 24 hours, and its record goes', async () => {
    const clock = new VirtualClock()
    const store = memory({ clock })
    await using one = api(store)
    const first = await keyed(one.send, path, 'k', { a: 1, b: 2 })
    await clock.advance(23 * hour)
    assert.equal(idOf(await keyed(one.send, path, 'k', { a: 1, b: 2 })), idOf(first))
    await clock.advance(hour + 1)
    const later = await keyed(one.send, path, 'k', { a: 1, b: 3 })
    assert.equal(later.status, 201)
    assert.notEqual(idOf(later), idOf(first))
    await clock.advance(26 * hour)
    assert.deepEqual(await recordsOf(store), [])
  })

  test('an enqueue without a key touches no record', async () => {
    const store = memory()
    const calls: string[] = []
    await using one = api(watched(store, (name) => calls.push(name)))
    await added(one.send, path, { a: 1, b: 2 })
    assert.deepEqual(calls, ['insert'])
  })
})

suite('take', () => {
  test('gives a job that has ended and removes it; the same take gets the same again', async () => {
    await using one = api()
    const id = await ended(one)
    const record = (await one.send('GET', `/v1/jobs/${id}`)).body
    const first = await take(one.send, id, 'mine')
    assert.deepEqual([first.status, first.body], [200, record])
    assert.equal((await one.send('GET', `/v1/jobs/${id}`)).status, 404)
    assert.deepEqual((await take(one.send, id, 'mine')).body, record)
    assert.equal((await take(one.send, id, 'other')).status, 404)
  })

  test('waits for nothing: a job that has not ended stays', async () => {
    await using one = api()
    const id = await added(one.send, path, { a: 1, b: 2 })
    const { status, body } = await take(one.send, id, 'mine')
    assert.deepEqual([status, (body as { code: string }).code], [409, 'conflict'])
    assert.equal((await one.send('GET', `/v1/jobs/${id}`)).status, 200)
    await run(one)
    assert.equal((await take(one.send, id, 'other')).status, 200)
  })

  test('of concurrent takes on several managers one wins', async (t) => {
    const managers = await several(t, 3)
    const id = await ended(managers[0]!)
    const answers = await Promise.all(
      Array.from({ length: 24 }, (_, n) => take(managers[n % 3]!.send, id, `take-${n}`)),
    )
    const statuses = answers.map(({ status }) => status)
    assert.equal(statuses.filter((status) => status === 200).length, 1)
    assert.ok(
      statuses.every((status) => [200, 404, 409].includes(status)),
      statuses.join(),
    )
  })

  test('of concurrent calls of one take each gets the job', async (t) => {
    const managers = await several(t, 3)
    const id = await ended(managers[0]!)
    const answers = await Promise.all(
      Array.from({ length: 24 }, (_, n) => take(managers[n % 3]!.send, id, 'mine')),
    )
    assert.deepEqual(
      new Set(answers.map(({ status, body }) => [status, idOf({ body })].join())),
      new Set([`200,${id}`]),
    )
  })

  test('whichever call a manager dies at, no output is lost and nobody else gets it', async () => {
    for (let calls = 0, isOver = false; !isOver; calls += 1) {
      for (const when of ['before', 'after'] as const) {
        const store = memory()
        await using second = api(store)
        const id = await ended(second)
        const dying = dyingAt(store, calls, when)
        await using first = api(dying.store)
        await take(first.send, id, 'mine')
        if (!dying.hasDied()) isOver = true
        const told = `died ${when} call ${calls}`
        const repeated = await take(second.send, id, 'mine')
        assert.equal(repeated.status, 200, told)
        assert.deepEqual((repeated.body as { output: unknown }).output, { sum: 3 }, told)
        assert.notEqual((await take(second.send, id, 'other')).status, 200, told)
        assert.equal(await countOf(second), 0, told)
      }
    }
  })

  test('a take that nobody repeats leaves the job to others after five minutes', async () => {
    const clock = new VirtualClock()
    const store = memory({ clock })
    await using second = api(store)
    const id = await ended(second)
    // It has said that it takes, and dies.
    const dying = dyingAt(store, 1, 'after')
    await using first = api(dying.store)
    await take(first.send, id, 'mine')
    assert.equal((await take(second.send, id, 'other')).status, 409)
    await clock.advance(5 * 60_000 + 1)
    assert.equal((await take(second.send, id, 'other')).status, 200)
  })

  test('what is kept of takes goes after five minutes', async () => {
    const clock = new VirtualClock()
    const store = memory({ clock })
    await using one = api(store)
    await take(one.send, await ended(one), 'mine')
    assert.equal((await recordsOf(store)).length, 2)
    await clock.advance(7 * 60_000)
    assert.deepEqual(await recordsOf(store), [])
  })

  test('who takes by the library and who takes by HTTP do not both get it', async () => {
    await using one = api()
    const id = await ended(one)
    const [own, http] = await Promise.all([one.errand.jobs.take(id), take(one.send, id, 'mine')])
    assert.deepEqual([own !== null, http.status === 200].filter(Boolean), [true])
  })
})

const trace = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'

function keyed(send: Send, to: string, key: string, json: unknown): Promise<Answered> {
  return send('POST', to, { json, headers: { 'idempotency-key': key } })
}

function take(send: Send, id: string, name: string): Promise<Answered> {
  return send('POST', `/v1/jobs/${id}/take`, { json: { id: name } })
}

function idOf({ body }: Pick<Answered, 'body'>): string {
  return (body as { readonly id: string }).id
}

async function countOf({ errand }: Api): Promise<number> {
  return (await errand.jobs.list()).jobs.length
}

/** Runs what is ready, until it has ended. */
async function run({ errand }: Api): Promise<void> {
  const { jobs } = await errand.jobs.list({ state: 'ready' })
  const claimed = await errand.store.claim({
    worker: 'test',
    queues: [],
    others: 100,
    limit: 100,
    leaseMs: 30_000,
    maxLosses: null,
    id: null,
  })
  assert.equal(claimed.jobs.length, jobs.length)
  await errand.store.settle(
    claimed.jobs.map(({ id, token, counters }) => ({
      kind: 'finish',
      id,
      token,
      state: 'completed',
      output: '{"sum":3}',
      reason: null,
      keepMs: hour,
      startedAgoMs: 0,
      yieldsToCancel: false,
      counters,
      attempt: null,
      followUps: [],
    })),
  )
}

async function ended(one: Api): Promise<string> {
  const id = await added(one.send, path, { a: 1, b: 2 })
  await run(one)
  return id
}

/** Managers on one file, as processes of their own would be. */
async function several(t: TestContext, count: number): Promise<readonly Api[]> {
  const folder = await mkdtemp(join(tmpdir(), 'errand-manager-'))
  const managers = Array.from({ length: count }, () => api(sqlite(join(folder, 'errand.db'))))
  t.after(async () => {
    for (const one of managers) await one[Symbol.asyncDispose]()
    await rm(folder, { recursive: true })
  })
  await managers[0]!.errand.store.setup()
  return managers
}

async function recordsOf(store: Store): Promise<readonly string[]> {
  const records = await store.listRecords({ prefix: 'http/', after: null, limit: 100 })
  return records.map(({ key }) => key)
}

/** A store that tells of the calls that go through it. */
function watched(store: Store, on: (name: CallName) => unknown): Store {
  return new Proxy(store, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name)
      if (typeof value !== 'function') return value
      return (...args: readonly unknown[]) => {
        on(name as CallName)
        return value.apply(target, args)
      }
    },
  })
}

/** The store as a process sees it that dies before or after its n-th call: none of its calls returns from then on. */
function dyingAt(
  store: Store,
  calls: number,
  when: 'before' | 'after',
): { readonly store: Store; readonly hasDied: () => boolean } {
  let left = calls
  let isDead = false
  const dead = new Error('the process is dead')
  const dying = new Proxy(store, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name)
      if (typeof value !== 'function' || name === 'close' || name === 'watch') return value
      return async (...args: readonly unknown[]) => {
        if (isDead) throw dead
        const isLast = left-- === 0
        if (isLast && when === 'before') {
          isDead = true
          throw dead
        }
        const answer: unknown = await value.apply(target, args)
        if (!isLast) return answer
        isDead = true
        throw dead
      }
    },
  })
  return { store: dying, hasDied: () => isDead }
}
