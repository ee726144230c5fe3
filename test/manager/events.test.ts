/** Event streams: what they tell, where they go on, and what a slow reader costs. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { suite, type TestContext } from 'node:test'
import { createErrand, task } from 'errand'
import { listen, manager } from 'errand/manager'
import { memory } from 'errand/memory'
import { sqlite } from 'errand/sqlite'
import { testErrand, VirtualClock } from 'errand/testing'
import { EventStream, streamBounds } from '../../src/manager/events/stream.ts'
import { added, api, tasks, type Api } from './harness.ts'

const path = '/v1/queues/default/tasks/add/jobs'

interface Told {
  readonly name: string
  readonly id: string
  readonly data: Readonly<Record<string, unknown>>
}

/** Reads a stream, event by event. */
class Reader {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>
  readonly #decoder = new TextDecoder()
  #text = ''
  comments = 0

  constructor(body: ReadableStream<Uint8Array>) {
    this.#reader = body.getReader()
  }

  /** The next event that is wanted; null at the end. */
  async next(isWanted: (told: Told) => boolean = () => true): Promise<Told | null> {
    for (;;) {
      const end = this.#text.indexOf('\n\n')
      if (end === -1) {
        const { done, value } = await this.#reader.read()
        if (done) return null
        this.#text += this.#decoder.decode(value, { stream: true })
        continue
      }
      const lines = this.#text.slice(0, end).split('\n')
      this.#text = this.#text.slice(end + 2)
      if (lines[0]?.startsWith(':') === true) this.comments += 1
      const of = (field: string): string =>
        lines.find((line) => line.startsWith(`${field}: `))?.slice(field.length + 2) ?? ''
      if (of('data') === '') continue
      const told = { name: of('event'), id: of('id'), data: JSON.parse(of('data')) as Told['data'] }
      if (isWanted(told)) return told
    }
  }

  /** Waits for a job in a state. */
  state(id: string, state: string): Promise<Told | null> {
    return this.next((told) => told.data['id'] === id && told.data['state'] === state)
  }

  async close(): Promise<void> {
    await this.#reader.cancel()
  }
}

async function follow(
  one: Pick<Api, 'manager'>,
  query = '',
  lastEventId?: string,
): Promise<Reader> {
  const headers = lastEventId === undefined ? {} : { 'last-event-id': lastEventId }
  const response = await one.manager.fetch(
    new Request(`http://127.0.0.1:8220/v1/events${query}`, { headers }),
  )
  assert.equal(response.status, 200)
  assert.ok(response.body)
  return new Reader(response.body)
}

suite('events', () => {
  test('the head says what proxies need to know', async () => {
    await using one = api()
    const response = await one.manager.fetch(new Request('http://127.0.0.1:8220/v1/events'))
    const { headers } = response
    assert.match(headers.get('content-type') ?? '', /^text\/event-stream/)
    assert.equal(headers.get('cache-control'), 'no-cache, no-transform')
    assert.equal(headers.get('x-accel-buffering'), 'no')
    const reader = response.body!.getReader()
    assert.match(new TextDecoder().decode((await reader.read()).value), /^retry: \d+\n\n/)
    await reader.cancel()
  })

  test('a job is told as it is, then at each change, with its progress', async (t) => {
    const gate = Promise.withResolvers<void>()
    const slow = task({
      name: 'slow',
      async run(_: unknown, job) {
        job.progress({ done: 1 })
        await gate.promise
      },
    })
    const errand = createErrand({ store: memory(), tasks: [slow] })
    t.after(() => errand.close())
    const one = { manager: manager(errand, { access: 'open' }) }
    const { id } = await errand.enqueue(slow)
    const reader = await follow(one, `?job=${id}`)
    const first = await reader.next()
    assert.deepEqual([first?.name, first?.data['state'], first?.data['id']], ['job', 'ready', id])
    await errand.worker().start()
    const told = await reader.next(({ data }) => data['progress'] !== null)
    assert.deepEqual([told?.data['state'], told?.data['progress']], ['running', { done: 1 }])
    gate.resolve()
    const last = await reader.state(id, 'completed')
    assert.ok(!Number.isNaN(Date.parse(String(last?.data['finishedAt']))))
    assert.ok(!('input' in (last?.data ?? {})) && !('output' in (last?.data ?? {})))
    await errand.jobs.remove(id)
    assert.deepEqual((await reader.next())?.name, 'gone')
    await reader.close()
  })

  test('a job that nobody knows is told to be gone', async () => {
    await using one = api()
    const id = '01a22390-6fae-73e4-99d8-c1b669197fe5'
    const reader = await follow(one, `?job=${id}`)
    assert.deepEqual(await reader.next(), { name: 'gone', id: '0', data: { id } })
    await reader.close()
  })

  test('a queue or task is followed with its new jobs and its counts, and no other', async () => {
    await using one = api()
    await added(one.send, path, { a: 0, b: 0 })
    const reader = await follow(one, '?queue=other&task=any')
    await one.errand.enqueue('any', 1, { queue: 'third' })
    const id = await added(one.send, '/v1/queues/other/tasks/any/jobs', 1)
    const told = new Map<string, unknown>()
    while (told.size < 2) {
      const next = await reader.next()
      assert.ok(next !== null)
      told.set(next.name, next.data['id'] ?? next.data['counts'])
    }
    assert.deepEqual(told.get('job'), id)
    assert.deepEqual(told.get('queue'), { ready: 1 })
    await reader.close()
  })

  for (const query of ['', '?job='] as const) {
    test(`${query || 'all jobs'}: who comes back is told by another manager what has changed`, async (t) => {
      const [first, second] = await twoManagers(t)
      const id = await added(first.send, path, { a: 1, b: 2 })
      const filter = query === '' ? '' : `${query}${id}`
      const reader = await follow(first, filter)
      const other = await added(first.send, `${path}?delay=1h`, { a: 2, b: 2 })
      const seen =
        query === '' ? await reader.state(other, 'scheduled') : await reader.state(id, 'ready')
      assert.ok(seen !== null)
      await reader.close()
      // Nobody looks while this happens.
      await first.errand.jobs.cancel([id, other])
      const again = await follow(second, filter, seen.id)
      const missing = new Set(query === '' ? [id, other] : [id])
      while (missing.size > 0) {
        const told = await again.next(({ data }) => data['state'] === 'cancelled')
        assert.ok(told !== null)
        missing.delete(String(told.data['id']))
      }
      await again.close()
    })
  }

  test('who comes back is not told again what they saw long before', async (t) => {
    const errand = testErrand({ tasks })
    t.after(() => errand.close())
    const one = { manager: manager(errand, { access: 'open' }) }
    const old = await errand.enqueue('add', { a: 1, b: 2 }, { delay: '1h' })
    await errand.clock.advance(60_000)
    const late = await errand.enqueue('add', { a: 1, b: 2 }, { delay: '1h' })
    const query = `?job=${old.id}&job=${late.id}`
    const reader = await follow(one, query)
    const first = await reader.next()
    const second = await reader.next()
    assert.deepEqual(new Set([first?.data['id'], second?.data['id']]), new Set([old.id, late.id]))
    await reader.close()
    await errand.clock.advance(60_000)
    await errand.jobs.cancel(late.id)
    const again = await follow(one, query, second?.id)
    const told = await again.next()
    assert.deepEqual([told?.data['id'], told?.data['state']], [late.id, 'cancelled'])
    await again.close()
  })

  test('a comment is sent each 15 s, and the stream ends when the manager stops', async (t) => {
    const errand = testErrand({ tasks })
    t.after(() => errand.close())
    const one = { manager: manager(errand, { access: 'open' }) }
    const reader = await follow(one)
    const end = reader.next(({ name }) => name === 'job')
    await errand.clock.advance(46_000)
    await one.manager.stop()
    assert.equal(await end, null)
    assert.equal(reader.comments, 3)
  })

  test('without readers nobody looks at the store', async () => {
    const store = memory()
    let watchers = 0
    const counted = new Proxy(store, {
      get(target, name) {
        const value: unknown = Reflect.get(target, name)
        if (name !== 'watch') return typeof value === 'function' ? value.bind(target) : value
        return (...args: Parameters<typeof store.watch>) => {
          watchers += 1
          const unwatch = target.watch(...args)
          return () => {
            watchers -= 1
            unwatch()
          }
        }
      },
    })
    await using one = api(counted)
    const head = new Request('http://127.0.0.1:8220/v1/events', { method: 'HEAD' })
    assert.equal((await one.manager.fetch(head)).status, 200)
    assert.equal(watchers, 0)
    const readers = [await follow(one), await follow(one, '?queue=q')]
    assert.equal(watchers, 1)
    for (const reader of readers) await reader.close()
    assert.equal(watchers, 0)
  })
})

suite('slow readers', () => {
  test('what waits for one is bounded in bytes: beyond that it is cut off, once', async () => {
    const clock = new VirtualClock()
    const ends: string[] = []
    const stream = new EventStream(clock, () => ends.push('ended'))
    const data = JSON.stringify('x'.repeat(10_000))
    let sent = 0
    while (ends.length === 0) {
      stream.send('job', '1', data)
      sent += data.length
    }
    assert.ok(sent <= streamBounds.waitingBytes + data.length, `${sent} bytes`)
    assert.ok(sent > streamBounds.waitingBytes / 2, `${sent} bytes`)
    stream.send('job', '1', data)
    stream.close()
    assert.equal(ends.length, 1)
    await assert.rejects(stream.body.getReader().read(), /too slow/)
  })

  test('over a socket, one that does not read is cut off while others go on', async (t) => {
    const one = api()
    const server = await listen(one.manager, { port: 0 })
    t.after(async () => {
      await server.close()
      await one[Symbol.asyncDispose]()
    })
    const { hostname, port, host } = new URL(server.url)
    const slow = connect(Number(port), hostname)
    slow.write(`GET /v1/events HTTP/1.1\r\nHost: ${host}\r\n\r\n`)
    await once(slow, 'data')
    slow.pause()
    const fast = await fetch(`${server.url}/v1/events`)
    const reader = new Reader(fast.body!)
    // It is cut off.
    slow.on('error', () => undefined)
    // Tags of many bytes make large events.
    const tags = Array.from({ length: 20 }, (_, n) => `${n}-`.padEnd(100, 'x'))
    for (let round = 0; !slow.closed; round += 1) {
      assert.ok(round < 300, 'the slow reader is still there')
      const jobs = Array.from({ length: 150 }, () => ['any', 1, { tags }] as const)
      const ids = (await one.errand.enqueueMany(jobs)).map(({ id }) => id)
      assert.notEqual(await reader.state(ids.at(-1)!, 'ready'), null)
      // Node tells of an end only to who reads; what was cut off cannot be written to.
      slow.write('x')
    }
    await reader.close()
  })
})

async function twoManagers(t: TestContext): Promise<readonly [Api, Api]> {
  const folder = await mkdtemp(join(tmpdir(), 'errand-manager-'))
  const managers = [0, 1].map(() => api(sqlite(join(folder, 'errand.db'))))
  t.after(async () => {
    for (const one of managers) await one[Symbol.asyncDispose]()
    await rm(folder, { recursive: true })
  })
  return [managers[0]!, managers[1]!]
}
