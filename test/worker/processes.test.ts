/**
 * Workers in processes of their own on one SQLite file. `ERRAND_FULL=1` takes the times of the issue where they would take
 * too long otherwise.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { sqlite } from '../../src/stores/sqlite/index.ts'
import { blocker, killer, nap, patient } from './child-tasks.ts'
import { appOn, newFile } from './harness.ts'
import { keepWorkers, startProcess } from './processes.ts'
import { isFull } from '../full.ts'
import { lateness } from '../lateness.ts'

const tasks = [nap, killer, blocker, patient]
const queues = { naps: {}, default: {} }

async function waitFor(what: string, ms: number, holds: () => unknown): Promise<void> {
  const end = performance.now() + ms
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`${what}: not within ${ms} ms`)
    await sleep(20)
  }
}

test(
  'a running job is cancelled from another process within a second, 99 times of 100',
  { timeout: 180_000 },
  async (t) => {
    const file = newFile(t)
    const { client, jobs } = appOn(t, sqlite(file), { tasks, queues })
    await startProcess(t, './child.ts', { file, lease: 30_000, slots: 10 })
    const taken: number[] = []
    const lateMs = lateness(t)
    for (let i = 0; i < 100; i++) {
      const { id } = await client.enqueue(patient, undefined)
      await waitFor('its start', 60_000, async () => (await jobs.get(id))?.state === 'running')
      const from = performance.now()
      assert.deepEqual(await jobs.cancel(id), { asked: 1 })
      await waitFor('its end', 60_000, async () => (await jobs.get(id))?.state === 'cancelled')
      taken.push(performance.now() - from)
    }
    taken.sort((a, b) => a - b)
    t.diagnostic(
      `cancel took p50 ${taken[49]?.toFixed(0)} ms, p99 ${taken[98]?.toFixed(0)} ms, at most ${taken[99]?.toFixed(0)} ms`,
    )
    assert.ok((taken[98] ?? Infinity) <= 1_000 + lateMs())
  },
)

// They wait for leases to end, each on a file of its own.
describe('workers in trouble', { concurrency: 2 }, () => {
  test('one killer among 500 claimed jobs poisons only itself', { timeout: 180_000 }, async (t) => {
    const file = newFile(t)
    const { client, jobs, store } = appOn(t, sqlite(file), { tasks, queues })
    const enqueued = await client.enqueueMany(
      Array.from({ length: 500 }, (_, i) =>
        i === 250 ? ([killer] as const) : ([nap, 5] as const),
      ),
    )
    const started = await keepWorkers(t, 2, { file, lease: 1_000, slots: 10 })
    await waitFor('all jobs to be final', 90_000, async () => {
      return (await store.counts()).every(
        ({ state }) => state === 'completed' || state === 'failed',
      )
    })
    const records = await Promise.all(enqueued.map(({ id }) => jobs.get(id)))
    const failed = records.filter((job) => job?.state === 'failed')
    assert.deepEqual(
      failed.map((job) => [job?.task, job?.reason, job?.losses]),
      [['killer', 'poison', 4]],
    )
    const others = records.filter((job) => job?.task === 'nap')
    assert.ok(others.every((job) => job?.state === 'completed' && job.losses <= 2))
    t.diagnostic(
      `${started()} processes; losses of others: ${others.reduce((sum, job) => sum + (job?.losses ?? 0), 0)}`,
    )
  })

  test(
    'a handler that blocks its event loop for three lease times is accepted once',
    { timeout: 180_000 },
    async (t) => {
      const file = newFile(t)
      const { client, jobs } = appOn(t, sqlite(file), { tasks, queues })
      await keepWorkers(t, 2, { file, lease: 1_000, slots: 1 })
      const blocked = await client.enqueue(blocker, 3_000, { timeout: '5s' })
      await waitFor(
        'its end',
        60_000,
        async () => (await jobs.get(blocked.id))?.state === 'completed',
      )
      const job = await jobs.get(blocked.id)
      assert.deepEqual([job?.losses, job?.attempts, job?.failures], [0, 1, 0])
    },
  )

  test(
    'a handler that blocks for ever is run elsewhere within 10 s of its timeout and is poison after its losses; its neighbours survive',
    { timeout: 180_000 },
    async (t) => {
      const timeout = isFull ? 5_000 : 1_000
      const file = newFile(t)
      const { client, jobs } = appOn(t, sqlite(file), { tasks, queues })
      for (let i = 0; i < 6; i++)
        await startProcess(t, './child.ts', { file, lease: 1_000, slots: 5 })
      const bad = await client.enqueue(blocker, 1e9, { timeout })
      const neighbours = await client.enqueueMany(
        Array.from({ length: 40 }, () => [nap, 300, { timeout: '30s' }] as const),
      )
      const first = await client.enqueueMany(Array.from({ length: 10 }, () => [nap, 1] as const))
      const starts = new Set<number>()
      await waitFor('poison', 150_000, async () => {
        const job = await jobs.get(bad.id)
        if (job?.startedAt) starts.add(job.startedAt.getTime())
        return job?.state === 'failed'
      })
      const job = await jobs.get(bad.id)
      assert.deepEqual([job?.reason, job?.losses], ['poison', 4])
      const [one = 0, two = Infinity] = starts
      const elsewhereMs = two - one - timeout
      t.diagnostic(
        `run elsewhere ${Math.round(elsewhereMs)} ms after its timeout; poison ${(job?.finishedAt?.getTime() ?? 0) - one} ms after its start`,
      )
      assert.ok(elsewhereMs <= 10_000, `${elsewhereMs} ms`)
      for (const { id } of [...neighbours, ...first]) {
        await waitFor(
          'a neighbour',
          30_000,
          async () => (await jobs.get(id))?.state === 'completed',
        )
      }
    },
  )

  test(
    'a stop ends within its bounds while another process holds the file locked',
    { timeout: 180_000 },
    async (t) => {
      const file = newFile(t)
      const { client, jobs, work } = appOn(t, sqlite(file), { tasks, queues })
      const worker = await work()
      const { id } = await client.enqueue(nap, 1_500)
      await waitFor('its start', 60_000, async () => (await jobs.get(id))?.state === 'running')
      await startProcess(t, './locker.ts', { file })
      const lateMs = lateness(t)
      const from = performance.now()
      await worker.stop(isFull ? {} : { grace: '1s', abortGrace: '1s' })
      const ms = performance.now() - from
      t.diagnostic(`stopped after ${Math.round(ms)} ms`)
      assert.ok(ms <= (isFull ? 31_000 : 7_000) + lateMs(), `${ms} ms`)
    },
  )

  test(
    'jobs buffered in a process that hangs are run elsewhere, though the process lives on',
    { timeout: 180_000 },
    async (t) => {
      const file = newFile(t)
      const { client, jobs, store } = appOn(t, sqlite(file), { tasks, queues })
      const fast = Array.from({ length: 300 }, () => [nap, 0] as const)
      const enqueued = await client.enqueueMany([
        ...fast,
        [blocker, 1e9, { queue: 'naps', timeout: '1h' }],
        ...fast,
      ])
      const hanging = await startProcess(t, './child.ts', { file, lease: 1_000, slots: 1 })
      const blocked = enqueued[300]?.id ?? ''
      await waitFor('the block', 60_000, async () => (await jobs.get(blocked))?.startedAt)
      const held = (await store.counts()).find(({ state }) => state === 'running')?.count ?? 0
      t.diagnostic(`${held} jobs held by the process that hangs`)
      await startProcess(t, './child.ts', { file, lease: 1_000, slots: 5 })
      await waitFor('the others', 60_000, async () => {
        return (await store.counts()).find(({ state }) => state === 'completed')?.count === 600
      })
      assert.equal(hanging.exitCode, null)
      assert.equal((await jobs.get(blocked))?.state, 'running')
    },
  )
})
