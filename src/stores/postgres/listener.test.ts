import assert from 'node:assert/strict'
import test from 'node:test'
import { findPgBouncer, findPostgres, query } from '../../../test/postgres-server.ts'
import { tcpProxy } from '../../../test/tcp-proxy.ts'
import type { Hint } from '../../store/worker-calls.ts'
import type { Store } from '../../store/store.ts'
import { newJob } from '../../testing/conformance/jobs.ts'
import { systemClock } from '../system-clock.ts'
import { Deadline } from './connection.ts'
import { postgres } from './index.ts'
import { OwnConnections } from './own-connections.ts'
import { postgresStore } from './store.ts'

const server = await findPostgres()
const schema = 'listened_jobs'

if (server !== null) {
  const { url } = server
  const proxy = await tcpProxy(Number(new URL(url).port || 5432))
  const proxied = url.replace(/:\d+\//, `:${proxy.port}/`)
  const pooler = await findPgBouncer(url)
  const writer = postgres(url, { schema })
  await writer.setup()
  test.after(async () => {
    await writer.close()
    await proxy.close()
    await query(url, `DROP SCHEMA ${schema} CASCADE`)
    await pooler?.stop()
    await server.stop()
  })

  /** A store that listens through the proxy and pings itself every 100 ms. */
  const listening = (): Store => {
    const deadline = new Deadline(5_000, 'here')
    const source = new OwnConnections({ connectionString: proxied }, 2, deadline)
    const listenerTimes = { pingMs: 100, answerMs: 300 }
    return postgresStore({
      source,
      listening: source,
      schema,
      location: 'here',
      prepare: true,
      deadline,
      clock: systemClock,
      connector: null,
      listenerTimes,
    })
  }

  test('postgres listener: other processes hear of new work within moments', async () => {
    const store = postgres(url, { schema })
    const ear = listen(store)
    await ear.isOpen(writer)
    const start = performance.now()
    await writer.insert([newJob()])
    await ear.hears('work')
    assert.ok(performance.now() - start < 5_000)
    await store.close()
  })

  test('postgres listener: a thousand inserts send few messages', async () => {
    const before = await committed(url)
    for (let n = 0; n < 10; n += 1) {
      await Promise.all(Array.from({ length: 100 }, () => writer.insert([newJob()])))
    }
    const transactions = (await committed(url)) - before
    assert.ok(transactions < 1_500, `${transactions} transactions for 1,000 inserts`)
  })

  test('postgres listener: it listens again after its backend was ended', async () => {
    const store = listening()
    const ear = listen(store)
    await ear.isOpen(writer)
    for (let round = 0; round < 3; round += 1) {
      await query(
        url,
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name <> 'errand' AND pid <> pg_backend_pid() AND (query LIKE 'LISTEN %' OR query LIKE '%pg_notify%')`,
      )
      await ear.isOpen(writer)
    }
    await store.close()
  })

  test('postgres listener: a half-open connection is noticed by a ping, and replaced', async () => {
    const store = listening()
    const ear = listen(store)
    await ear.isOpen(writer)
    proxy.fallSilent()
    proxy.recover()
    // The old connection stays silent for ever; nothing tells that it is dead.
    await ear.isOpen(writer)
    await store.close()
  })

  test(
    'postgres listener: behind a pooler it gives up listening, and the store works on',
    { skip: pooler === null },
    async () => {
      const store = postgres(pooler?.url ?? '', { schema, prepare: false })
      const stop = store.watch(() => {})
      await store.insert([newJob()])
      assert.ok((await store.counts()).length > 0)
      stop()
      await store.close()
    },
  )

  test('postgres listener: a listening store that has nothing to do does not keep its process alive', async () => {
    const { spawn } = await import('node:child_process')
    const { once } = await import('node:events')
    const program = `
      const { postgres } = await import(${JSON.stringify(import.meta.resolve('./index.ts'))})
      const store = postgres(${JSON.stringify(url)}, { schema: ${JSON.stringify(schema)} })
      store.watch(() => {})
      await store.setup()
      await store.counts()
      console.log('done')`
    const child = spawn(process.execPath, [
      '--conditions=errand-source',
      '--input-type=module',
      '-e',
      program,
    ])
    const [code] = (await once(child, 'close', { signal: AbortSignal.timeout(20_000) })) as [number]
    assert.equal(code, 0)
  })
}

/** Hears hints; `isOpen` resolves once a message of another store arrives. */
function listen(store: Store): {
  hears(hint: Hint): Promise<void>
  isOpen(other: Store): Promise<void>
} {
  let hints: Hint[] = []
  store.watch((hint) => hints.push(hint))
  const hears = async (hint: Hint, withinMs = 10_000): Promise<void> => {
    const end = performance.now() + withinMs
    while (!hints.includes(hint)) {
      assert.ok(performance.now() < end, `no hint of ${hint}`)
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
  }
  return {
    hears,
    async isOpen(other) {
      const end = performance.now() + 15_000
      for (;;) {
        hints = []
        await other.pause(['nobody'])
        try {
          await hears('paused', 100)
          // What came with the start of listening is no message yet.
          hints = []
          await other.resume(['nobody'])
          await hears('paused', 500)
          hints = []
          return
        } catch (error) {
          if (performance.now() > end) throw error
        }
      }
    },
  }
}

async function committed(url: string): Promise<number> {
  await query(url, 'SELECT pg_stat_force_next_flush()').catch(() => {})
  await new Promise((resolve) => setTimeout(resolve, 1_200))
  const [row] = await query(
    url,
    'SELECT xact_commit::int AS n FROM pg_stat_database WHERE datname = current_database()',
  )
  return Number(row?.['n'])
}
