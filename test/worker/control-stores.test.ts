/** Orders reach a running worker within about two seconds on every store, and late joiners obey. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createErrand, task, type Errand } from '../../src/index.ts'
import type { Store } from '../../src/store/store.ts'
import { http } from '../../src/stores/http/index.ts'
import { postgres } from '../../src/stores/postgres/index.ts'
import { redis } from '../../src/stores/redis/index.ts'
import { sqlite } from '../../src/stores/sqlite/index.ts'
import { listen, manager } from '../../src/manager/index.ts'
import { managerUnderTest } from '../manager-server.ts'
import { canStartPostgres, startPostgres } from '../postgres-server.ts'
import { canStartRedis, startRedis } from '../redis-server.ts'
import { newFile } from './harness.ts'
import { lateness } from '../lateness.ts'

/** What is said to be about two seconds, on a machine that others use as well. */
const withinMs = 5_000

const plain = task({ name: 'plain', run: () => 1 })

interface Opened {
  readonly open: () => Store
  readonly close?: () => Promise<unknown>
}

const stores: Readonly<Record<string, (t: Parameters<typeof newFile>[0]) => Promise<Opened>>> = {
  sqlite: async (t) => {
    const file = newFile(t)
    return { open: () => sqlite(file) }
  },
  http: async (t) => {
    const file = newFile(t)
    const server = await managerUnderTest({ open: () => sqlite(file) })
    return { open: () => http({ url: server.url }), close: () => server.close() }
  },
  ...(canStartPostgres()
    ? {
        postgres: async () => {
          const server = await startPostgres({})
          return { open: () => postgres(server.url), close: () => server.stop() }
        },
      }
    : {}),
  ...(canStartRedis()
    ? {
        redis: async () => {
          const server = await startRedis()
          return { open: () => redis(server.url), close: () => server.stop() }
        },
      }
    : {}),
}

for (const [name, opener] of Object.entries(stores)) {
  test(`${name}: an order given elsewhere is obeyed at once, and by who starts later`, async (t) => {
    const { open, close = async () => undefined } = await opener(t)
    const apps: Errand[] = []
    t.after(async () => {
      await Promise.all(apps.map((errand) => errand.close()))
      await close()
    })
    const app = (): Errand => {
      const errand = createErrand({ store: open(), tasks: [plain] })
      apps.push(errand)
      return errand
    }
    const operator = app()
    const serving = app()
    const worker = serving.worker({ group: 'api' })
    await worker.start()
    // What a store does once at its start is over.
    const first = await operator.enqueue(plain)
    await first.result({ timeout: '30s' })
    const lateMs = lateness(t)
    for (const isPaused of [true, false]) {
      const turned = new Promise((resolve) =>
        serving.on(isPaused ? 'worker-paused' : 'worker-resumed', resolve),
      )
      const from = performance.now()
      await operator.control[isPaused ? 'pause' : 'resume']({ group: 'api' })
      await turned
      const tookMs = performance.now() - from
      t.diagnostic(`${isPaused ? 'paused' : 'resumed'} after ${Math.round(tookMs)} ms`)
      assert.ok(tookMs < withinMs + lateMs(), `${tookMs} ms`)
    }
    await operator.control.stop({ group: 'api' })
    await until(() => worker.status.state === 'stopped')
    const late = app().worker({ group: 'api' })
    await late.start()
    await until(() => late.status.state === 'stopped')
    const workers = await operator.workers.list()
    assert.deepEqual(
      workers.map(({ group, state }) => [group, state]),
      [
        ['api', 'stopped'],
        ['api', 'stopped'],
      ],
    )
  })
}

test('a worker whose token is for some queues obeys, without hearing who ordered and why', async (t) => {
  const file = newFile(t)
  const own = createErrand({ store: sqlite(file), tasks: [plain] })
  const made = manager(own, { access: () => ({ scopes: ['work'], queues: ['default'] }) })
  const server = await listen(made, { port: 0 })
  const remote = createErrand({ store: http({ url: server.url, token: 'x' }), tasks: [plain] })
  t.after(async () => {
    await remote.close()
    await server.close()
    await own.close()
  })
  await own.control.pause({ group: 'api' }, { by: 'boss', note: 'secret' })
  const worker = remote.worker({ group: 'api' })
  await worker.start()
  assert.deepEqual(worker.status.paused, ['control'])
  const resumed = new Promise((resolve) => remote.on('worker-resumed', resolve))
  await own.control.resume({ group: 'api' })
  await resumed
  const ended = new Promise<unknown>((resolve) => remote.on('worker-ending', resolve))
  await own.control.restart({ group: 'api' }, { by: 'boss', note: 'secret' })
  assert.deepEqual(await ended, { worker: worker.id, why: 'restart', by: null, note: null })
})

async function until(holds: () => boolean): Promise<void> {
  const from = performance.now()
  while (!holds()) {
    assert.ok(performance.now() - from < 60_000, 'it did not come to be')
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
