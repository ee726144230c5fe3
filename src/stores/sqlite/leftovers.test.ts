/** What nobody can read any more does not stay in the file. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import test, { type TestContext } from 'node:test'
import type { ClaimedJob } from '../../store/job.ts'
import type { Store } from '../../store/store.ts'
import { claimOf, finish, leaseMs, newJob, workerOf } from '../../testing/conformance/jobs.ts'
import { VirtualClock } from '../../testing/virtual-clock.ts'
import { sqlite } from './index.ts'

interface Opened {
  readonly store: Store
  readonly clock: VirtualClock
  readonly rowsIn: (table: string) => number
}

async function opened(t: TestContext): Promise<Opened> {
  const folder = await mkdtemp(join(tmpdir(), 'errand-sqlite-'))
  const file = join(folder, 'jobs.db')
  const clock = new VirtualClock()
  const store = sqlite(file, { clock })
  await store.setup()
  const own = new DatabaseSync(file)
  t.after(async () => {
    own.close()
    await store.close()
    await rm(folder, { recursive: true })
  })
  const rowsIn = (table: string): number =>
    own.prepare(`SELECT count(*) AS n FROM ${table}`).get()?.['n'] as number
  return { store, clock, rowsIn }
}

const removals: Readonly<Record<string, (store: Store, job: ClaimedJob) => Promise<unknown>>> = {
  'a settlement': (store, job) => store.settle([finish(job, { keepMs: 0 })]),
  'a removal': async (store, job) => {
    await store.settle([finish(job)])
    await store.remove([job.id])
  },
  'a taker': async (store, job) => {
    await store.settle([finish(job)])
    await store.take([job.id])
  },
  pruning: async (store, job) => {
    await store.settle([finish(job)])
    await store.prune({ limit: 10, cap: 0 })
  },
}

for (const [who, removes] of Object.entries(removals)) {
  test(`${who} removes a job with its log, progress and records of runs`, async (t) => {
    const { store, rowsIn } = await opened(t)
    const tables = ['errand_log', 'errand_progress', 'errand_recorded']
    for (const table of tables) {
      await store.insert([newJob()])
      const [job] = (await store.claim(claimOf())).jobs
      assert.ok(job)
      const lease = { id: job.id, token: job.token }
      if (table === 'errand_log')
        await store.note([{ ...lease, kind: 'log', agoMs: 0, level: 'info', text: 'x' }])
      else if (table === 'errand_progress')
        await store.note([{ ...lease, kind: 'progress', value: '1' }])
      else await store.record([{ ...lease, name: 'step', text: '1' }])
      assert.equal(rowsIn(table), 1)
      await removes(store, job)
      assert.equal(rowsIn(table), 0, table)
      assert.equal(rowsIn('errand_jobs'), 0)
    }
  })
}

test('a claim is forgotten when its lease has ended, and its id claims anew', async (t) => {
  const { store, clock, rowsIn } = await opened(t)
  const request = claimOf({ id: newJob().id })
  await store.claim(request)
  await store.claim(claimOf())
  assert.equal(rowsIn('errand_claims'), 1)
  await clock.advance(leaseMs - 1)
  await store.tend(workerOf())
  assert.equal(rowsIn('errand_claims'), 1)
  const late = newJob()
  await store.insert([late])
  assert.deepEqual((await store.claim(request)).jobs, [])
  await clock.advance(1)
  assert.equal((await store.claim(request)).jobs[0]?.id, late.id)
  await clock.advance(leaseMs)
  await store.tend(workerOf())
  assert.equal(rowsIn('errand_claims'), 0)
})
