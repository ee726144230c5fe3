/** How queues and jobs stand over the API: merged, paged, and bounded however many there are. */
import assert from 'node:assert/strict'
import test, { type TestContext } from 'node:test'
import { createErrand, task, type Errand, type Store } from 'errand'
import { manager, tokens } from 'errand/manager'
import { memory } from 'errand/memory'
import { EventHub, type Events } from '../../src/observe/events.ts'
import { HistoryRecorder } from '../../src/observe/history/recorder.ts'
import { any, sendTo } from './harness.ts'

interface Durations {
  readonly count: number
  readonly p50Ms: number | null
  readonly p90Ms: number | null
  readonly p99Ms: number | null
}

interface Totals {
  readonly ended: Readonly<Record<string, number>>
  readonly losses: number
  readonly wait: Durations
  readonly run: Durations
}

interface Point {
  readonly all: Totals
  readonly runs: readonly (Totals & { readonly queue: string })[]
  readonly depth: Readonly<Record<string, number>>
}

function api(t: TestContext, store: Store, access: 'open' | 'tokens' = 'open') {
  const many = task({ name: 'many', run: () => undefined })
  const errand = createErrand({ store, tasks: [any, many], queues: { '*': {} } })
  const own = manager(errand, { access })
  t.after(async () => {
    await own.stop()
    await errand.close()
  })
  const send = sendTo(own.fetch)
  const get = async <T>(path: string, token?: string): Promise<{ body: T; bytes: number }> => {
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
    const { status, body } = await send('GET', path, { headers })
    assert.equal(status, 200, `${path}: ${JSON.stringify(body)}`)
    return { body: body as T, bytes: JSON.stringify(body).length }
  }
  return { errand, get }
}

/** Writes what came of runs into a store, as a worker does. */
async function ran(
  store: Store,
  runs: readonly (Partial<Events['run-ended']> & { readonly times: number })[],
): Promise<void> {
  const events = new EventHub()
  const recorder = new HistoryRecorder('w', () => store.clock.now())
  recorder.start(events)
  const usual = { worker: 'w', id: 'x', task: 'a', queue: 'q', attempt: 1, totalMs: null }
  const ended = { outcome: 'completed', durationMs: 1, waitMs: 1, error: undefined } as const
  for (const { times, ...run } of runs)
    for (let n = 0; n < times; n++)
      events.emit('run-ended', { ...usual, ...ended, againMs: null, ...run })
  await store.putRecords(recorder.writes('the-end'))
  recorder.stop()
}

test('points of several tasks are those of all runs, and not of the slowest task', async (t) => {
  const store = memory()
  const { errand, get } = api(t, store)
  await ran(store, [
    { times: 900, task: 'fast', queue: 'front', durationMs: 4, waitMs: 2 },
    { times: 95, task: 'slow', queue: 'back', durationMs: 1_000, waitMs: 30_000 },
    { times: 5, task: 'stuck', queue: 'back', durationMs: 60_000, waitMs: null, outcome: 'failed' },
  ])
  const { body } = await get<{ history: Point[] }>('/v1/stats/all?by=minute')
  const [point] = body.history
  assert.deepEqual(point?.all, {
    ended: { completed: 995, failed: 5 },
    losses: 0,
    wait: { count: 995, sumMs: 900 * 2 + 95 * 30_000, p50Ms: 2, p90Ms: 2, p99Ms: 32_768 },
    run: { count: 1_000, sumMs: 3_600 + 95_000 + 300_000, p50Ms: 4, p90Ms: 4, p99Ms: 1_024 },
  })
  // The same for those who read each task, and by the library.
  const each = (await get<{ history: Point[] }>('/v1/stats?by=hour')).body.history[0]
  assert.deepEqual(each?.all, point?.all)
  assert.equal(each?.runs.length, 3)
  const [own] = (await errand.stats({ by: 'minute', queues: ['back'] })).history
  assert.deepEqual([own?.all.run.count, own?.all.run.p50Ms, own?.runs.length], [100, 1_024, 2])
  await assert.rejects(errand.stats({ queues: 'back' as never }), /list of names/)
})

test('who may touch some queues sees all of those together, and nothing of the others', async (t) => {
  const store = memory()
  const { errand, get } = api(t, store, 'tokens')
  await ran(store, [
    { times: 9, queue: 'front', durationMs: 4 },
    { times: 1, queue: 'back', durationMs: 60_000 },
  ])
  await errand.enqueue(any, 1, { queue: 'front' })
  await errand.enqueueMany([1, 2].map((n) => [any, n, { queue: 'back' }] as const))
  const { token } = await tokens(errand).create({
    name: 'some',
    scopes: ['read'],
    queues: ['front'],
  })
  const { body } = await get<{ counts: object; queues: number; history: Point[] }>(
    '/v1/stats/all?by=minute',
    token,
  )
  assert.deepEqual([body.counts, body.queues], [{ ready: 1 }, 1])
  assert.deepEqual([body.history[0]?.all.run.count, body.history[0]?.all.run.p99Ms], [9, 4])
  const list = (await get<{ queues: { name: string }[]; found: number }>('/v1/queues', token)).body
  assert.deepEqual([list.queues.map(({ name }) => name), list.found], [['front'], 1])
})

interface QueuePage {
  readonly queues: readonly { readonly name: string; readonly oldestReadyAt: string | null }[]
  readonly found: number
  readonly next: string | null
}

test('of ten thousand queues a page has those that were asked for, in few bytes', async (t) => {
  const { errand, get } = api(t, memory())
  await manyQueues(errand, 10_000)
  const seen: string[] = []
  let after: string | null = null
  let largest = 0
  do {
    const cursor: string = after === null ? '' : `&after=${after}`
    const { body, bytes }: { body: QueuePage; bytes: number } = await get(
      `/v1/queues?limit=1000${cursor}`,
    )
    largest = Math.max(largest, bytes)
    assert.equal(body.found, 10_000)
    seen.push(...body.queues.map(({ name }) => name))
    after = body.next
  } while (after !== null)
  assert.equal(new Set(seen).size, 10_000)
  assert.deepEqual(seen, seen.toSorted())
  assert.ok(largest < 150_000, `${largest} bytes`)

  const found = (await get<QueuePage>('/v1/queues?find=9999')).body
  assert.deepEqual([found.queues.map(({ name }) => name), found.next], [['q-09999'], null])
  await errand.enqueueMany([1, 2, 3].map((n) => [any, n, { queue: 'q-05000' }] as const))
  const busiest = await get<QueuePage>('/v1/queues?order=busiest&limit=12')
  assert.equal(busiest.body.queues[0]?.name, 'q-05000')
  assert.ok(busiest.body.queues[0]?.oldestReadyAt !== null)
  assert.equal(busiest.body.queues.length, 12)
  assert.ok(busiest.bytes < 2_500, `${busiest.bytes} bytes`)
  const all = await get<{ queues: number; counts: { ready: number } }>('/v1/stats/all?by=minute')
  assert.deepEqual([all.body.queues, all.body.counts.ready], [10_000, 10_003])
  assert.ok(all.bytes < 2_500, `${all.bytes} bytes`)
})

/** Puts a job into each of so many queues. */
async function manyQueues(errand: Errand, count: number): Promise<void> {
  for (let from = 0; from < count; from += 1_000) {
    const numbers = Array.from({ length: 1_000 }, (_, n) => from + n)
    await errand.enqueueMany(
      numbers.map((n) => [any, n, { queue: `q-${String(n).padStart(5, '0')}` }] as const),
    )
  }
}

test('scanned says how many jobs a page looked at, which are all in the end, and few at once', async (t) => {
  const { errand, get } = api(t, memory())
  const count = 11_000
  for (let from = 0; from < count; from += 1_000) {
    const tags = from === 0 ? ['rare'] : []
    const numbers = Array.from({ length: 1_000 }, (_, n) => from + n)
    await errand.enqueueMany(
      numbers.map((n) => ['many', { n }, n % 500 === 0 ? { tags } : {}] as const),
    )
  }
  interface Page {
    readonly jobs: readonly { readonly input: { readonly n: number } }[]
    readonly next: string | null
    readonly scanned?: number
  }
  const walk = async (filter: string): Promise<{ found: number[]; scanned: number[] }> => {
    const found: number[] = []
    const scanned: number[] = []
    let after = ''
    for (;;) {
      const { body }: { body: Page } = await get(`/v1/jobs?limit=100&${filter}${after}`)
      found.push(...body.jobs.map(({ input }) => input.n))
      scanned.push(body.scanned ?? 0)
      if (body.next === null) return { found, scanned }
      after = `&after=${encodeURIComponent(body.next)}`
    }
  }
  for (const [filter, wanted] of [
    ['input=n%3D7', [7]],
    ['tag=rare', [500, 0]],
    ['input=n%3D%22none%22', []],
  ] as const) {
    const { found, scanned } = await walk(filter)
    assert.deepEqual(found, wanted, filter)
    // What no job holds costs a page no more than what one does.
    assert.ok(scanned.length >= 2 && Math.max(...scanned) <= 6_000, `${filter}: ${scanned.join()}`)
    assert.equal(
      scanned.reduce((sum, one) => sum + one, 0),
      count,
      filter,
    )
  }
  // What an index finds is not looked for among others.
  assert.ok(!('scanned' in (await get<Page>('/v1/jobs?limit=10&task=many')).body))
  assert.ok(!('scanned' in (await get<Page>('/v1/jobs?limit=10&state=failed')).body))
})
