/** Singletons whose lock cannot be extended from a thread, or no more: the event loop does it, and that is said. */
import assert from 'node:assert/strict'
import { describe, test, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createErrand, singleton } from 'errand'
import { sqlite } from 'errand/sqlite'
import { threadsOf, type Dying, type Fate } from '../worker/dying-connect.ts'
import { newFile } from '../worker/harness.ts'

const ttl = '2s'
const runMs = 7_000

/** Runs a singleton for several times its lock, whose threads have these fates, while a rival asks for the lock all the time. */
async function run(
  t: TestContext,
  fates: readonly Fate[],
): Promise<{
  readonly status: string
  readonly rivals: readonly string[]
  readonly warnings: readonly string[]
  readonly threads: number
}> {
  const file = newFile(t)
  const module = new URL('../worker/dying-connect.ts', import.meta.url).href
  const argument: Dying = { file, fates }
  const store = Object.assign(sqlite(file), { connector: { module, argument } })
  const rival = sqlite(file)
  const rivals = new Set<string>()
  const warnings: string[] = []
  const report = singleton({
    name: 'report',
    once: true,
    ttl,
    liveness: [],
    run: async ({ signal }) => {
      for (const until = performance.now() + runMs; performance.now() < until;) {
        const asked = { name: 'report', holder: 'rival', token: null, ttlMs: 2_000 }
        rivals.add((await rival.hold({ ...asked, host: 'there', pid: 1 })).status)
        await sleep(100, undefined, { signal })
      }
    },
  })
  const errand = createErrand({ store, singletons: [report] })
  t.after(() => Promise.all([errand.close(), rival.close()]))
  errand.on('warning', ({ code, message }) => warnings.push(`${code} ${message}`))
  const { signal } = new AbortController()
  const { status } = await errand.singletons.run('report', { signal })
  assert.equal(await rival.lockOwner('report'), null, 'the lock was freed at the end')
  return { status, rivals: [...rivals], warnings, threads: threadsOf(file) }
}

describe(
  'a lock is kept whatever becomes of the thread',
  { concurrency: true, timeout: 120_000 },
  () => {
    test('a lock whose thread ends is extended on the event loop', async (t) => {
      const { status, rivals, warnings, threads } = await run(t, ['throws later'])
      assert.deepEqual(
        { status, rivals, threads },
        { status: 'succeeded', rivals: ['taken'], threads: 1 },
      )
      assert.match(warnings.join(), /^no-thread The lock of report.*event loop.*out of luck$/)
    })

    for (const fate of ['exits', 'throws', 'hangs'] as const) {
      test(`a lock whose thread ${fate} is held on the event loop`, async (t) => {
        const { status, rivals, warnings } = await run(t, [fate])
        assert.deepEqual({ status, rivals }, { status: 'succeeded', rivals: ['taken'] })
        assert.match(
          warnings.join(),
          /^no-thread .*event loop.*(?:code 1|cannot open|not ready within)/,
        )
      })
    }
  },
)
