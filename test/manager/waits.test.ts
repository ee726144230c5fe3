/** Requests that wait: they end with their deadline, their caller or the manager, and share their reads. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import test, { suite } from 'node:test'
import { listen } from 'errand/manager'
import { memory } from 'errand/memory'
import type { Store } from 'errand/store'
import { testErrand } from 'errand/testing'
import { manager } from 'errand/manager'
import { add, added, api, sendTo, tasks } from './harness.ts'

const path = '/v1/queues/default/tasks/add/jobs'

suite('waits', () => {
  test('a wait ends at its deadline, by the clock of the store', async (t) => {
    const errand = testErrand({ tasks })
    t.after(() => errand.close())
    const send = sendTo(manager(errand, { access: 'open' }).fetch)
    const id = await added(send, path, { a: 1, b: 2 })
    let isOver = false
    const waiting = send('GET', `/v1/jobs/${id}/result?wait=30s`).finally(() => (isOver = true))
    await errand.clock.advance(29_000)
    assert.equal(isOver, false)
    await errand.clock.advance(1_000)
    const { status, body } = await waiting
    assert.deepEqual([status, body], [202, { state: 'ready' }])
  })

  test('all waits end with an empty answer when the manager stops; what was added is told', async () => {
    await using one = api()
    const id = await added(one.send, path, { a: 1, b: 2 })
    const waits = [
      one.send('GET', `/v1/jobs/${id}/result?wait=30s`),
      one.send('POST', `${path}?wait=30s`, { json: { a: 2, b: 2 } }),
      one.send('GET', '/v1/events'),
    ]
    await Promise.race([waits[1], new Promise((resolve) => setImmediate(resolve))])
    await one.manager.stop()
    const [result, enqueued, stream] = await Promise.all(waits)
    assert.deepEqual([result?.status, result?.body], [202, { state: null }])
    assert.equal(enqueued?.status, 201)
    const { id: second, state } = enqueued.body as { id: string; state: unknown }
    assert.equal(state, null)
    assert.notEqual(await one.errand.jobs.get(second), null)
    assert.equal(stream?.status, 200)
    const ready = await one.send('GET', '/v1/ready')
    assert.deepEqual([ready.status, (ready.body as { code: string }).code], [503, 'closed'])
    assert.equal((await one.send('GET', `/v1/jobs/${id}/result?wait=30s`)).status, 503)
  })

  test('a wait ends with its caller: nothing reads for them any more', async (t) => {
    const { store, reads } = counted(memory())
    const one = api(store)
    const server = await listen(one.manager, { port: 0 })
    t.after(async () => {
      await server.close()
      await one[Symbol.asyncDispose]()
    })
    const id = await added(one.send, path, { a: 1, b: 2 })
    const { hostname, port, host } = new URL(server.url)
    const socket = connect(Number(port), hostname)
    const first = reads.next()
    socket.write(`GET /v1/jobs/${id}/result?wait=30s HTTP/1.1\r\nHost: ${host}\r\n\r\n`)
    await first
    assert.equal(reads.watchers(), 1)
    socket.destroy()
    await once(socket, 'close')
    await reads.unwatched()
    assert.equal(reads.watchers(), 0)
  })

  test('waits for many jobs share one read', async () => {
    const { store, reads } = counted(memory())
    await using one = api(store)
    const jobs = await one.errand.enqueueMany(
      Array.from({ length: 200 }, (_, n) => [add, { a: n, b: 1 }] as const),
    )
    const waits = jobs.map(({ id }) => one.send('GET', `/v1/jobs/${id}/result?wait=30s`))
    while (reads.most() < 200) await reads.next()
    const worker = one.errand.worker({ slots: 200 })
    await worker.start()
    for (const { status } of await Promise.all(waits)) assert.equal(status, 200)
    assert.ok(reads.count() < 100, `${reads.count()} reads`)
    await worker.stop()
  })
})

interface Reads {
  /** How many calls of `get` there were. */
  count(): number
  /** The most jobs in one of them. */
  most(): number
  /** Resolves at the next one. */
  next(): Promise<void>
  watchers(): number
  /** Resolves when nobody watches the store. */
  unwatched(): Promise<void>
}

/** A store that counts who reads it. */
function counted(store: Store): { readonly store: Store; readonly reads: Reads } {
  let count = 0
  let most = 0
  let watchers = 0
  let read = Promise.withResolvers<void>()
  const unwatched = Promise.withResolvers<void>()
  const own = new Proxy(store, {
    get(target, name) {
      if (name === 'get')
        return (ids: readonly string[]) => {
          count += 1
          most = Math.max(most, ids.length)
          read.resolve()
          read = Promise.withResolvers()
          return target.get(ids)
        }
      if (name === 'watch')
        return (...args: Parameters<Store['watch']>) => {
          watchers += 1
          const unwatch = target.watch(...args)
          return () => {
            watchers -= 1
            if (watchers === 0) unwatched.resolve()
            unwatch()
          }
        }
      const value: unknown = Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  return {
    store: own,
    reads: {
      count: () => count,
      most: () => most,
      next: () => read.promise,
      watchers: () => watchers,
      unwatched: () => unwatched.promise,
    },
  }
}
