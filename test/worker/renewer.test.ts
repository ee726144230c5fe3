import assert from 'node:assert/strict'
import { describe, test, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { isErrandError } from '../../src/core/errors.ts'
import { task } from '../../src/core/task.ts'
import { sqlite } from '../../src/stores/sqlite/index.ts'
import { threadsOf, type Dying, type Fate } from './dying-connect.ts'
import { appOn, newFile, type Bench } from './harness.ts'
import { lateness } from '../lateness.ts'

const lease = '3s'
const longMs = 10_000

/** An app whose renewer's threads have these fates, one after another. */
function appOfThreads(t: TestContext, fates: readonly Fate[]): Bench & { readonly file: string } {
  const file = newFile(t)
  const module = new URL('./dying-connect.ts', import.meta.url).href
  const argument: Dying = { file, fates }
  const store = Object.assign(sqlite(file), { connector: { module, argument } })
  const nap = task({ name: 'nap', run: () => sleep(longMs, 'done') })
  return { ...appOn(t, store, { tasks: [nap], lease }), file }
}

/** Runs a job that lasts several leases, which must run once. */
async function nap({ client, reach }: Bench): Promise<void> {
  const { id } = await client.enqueue('nap', undefined)
  const job = await reach(id, 'completed')
  assert.deepEqual([job.losses, job.attempts, job.output], [0, 1, 'done'])
}

describe(
  'leases are renewed whatever becomes of the thread',
  { concurrency: true, timeout: 120_000 },
  () => {
    test('a thread that ends is replaced, and gets back the leases that are held', async (t) => {
      const bench = appOfThreads(t, ['throws later', 'exits', 'lives'])
      const worker = await bench.work()
      assert.equal(worker.status.renewer, 'thread')
      await nap(bench)
      assert.equal(worker.status.renewer, 'thread')
      assert.equal(threadsOf(bench.file), 3)
      const failures = bench.told.failed.filter(({ part }) => part === 'renewer-thread')
      assert.deepEqual(
        failures.map(({ error }) => /out of luck|code 1/.test(String(error))),
        [true, true],
      )
      assert.equal(worker.status.parts['renewer-thread'], 0, 'it is well again')
      assert.equal(bench.told.warnings.length, 1)
    })

    for (const fate of ['exits', 'throws', 'hangs'] as const) {
      test(`a worker whose thread ${fate} renews on its event loop, and says so`, async (t) => {
        const bench = appOfThreads(t, [fate])
        const worker = await bench.work()
        assert.equal(worker.status.renewer, 'event-loop')
        const [warning] = bench.told.warnings
        assert.equal(warning?.code, 'no-thread')
        assert.match(warning.message, /on the event loop.*(?:code 1|cannot open|not ready within)/)
        await nap(bench)
        assert.equal(bench.told.warnings.length, 1, 'it is said once')
        assert.notEqual(worker.status.parts['renewer-thread'], 0)
        assert.equal(worker.status.parts['renewer'], 0)
      })
    }

    test('a thread that ends and cannot start again leaves its leases to the event loop', async (t) => {
      const bench = appOfThreads(t, ['throws later', 'throws'])
      const worker = await bench.work()
      assert.equal(worker.status.renewer, 'thread')
      await nap(bench)
      assert.equal(worker.status.renewer, 'event-loop')
      assert.match(bench.told.warnings[0]?.message ?? '', /event loop.*out of luck/)
    })

    test('a renewal that fails in the thread is told as an error with its code', async (t) => {
      const bench = appOfThreads(t, ['cannot renew'])
      await bench.work()
      await bench.client.enqueue('nap', undefined)
      const failed = (): unknown => bench.told.failed.find(({ part }) => part === 'renewer')?.error
      await bench.until('a failed renewal', failed)
      const error = failed()
      assert.ok(isErrandError(error, 'store-busy'))
      assert.equal(error.message, 'not now')
    })

    test('a worker that stops while its thread starts ends within its time', async (t) => {
      const bench = appOfThreads(t, ['hangs'])
      const worker = bench.worker()
      const started = worker.start().catch(({ code }: { code: string }) => code)
      await bench.until('a thread', () => threadsOf(bench.file) === 1)
      const lateMs = lateness(t)
      const from = performance.now()
      await worker.stop({ grace: 0, abortGrace: 0 })
      assert.ok(performance.now() - from < 5_000 + lateMs())
      assert.equal(await started, 'closed')
    })
  },
)
