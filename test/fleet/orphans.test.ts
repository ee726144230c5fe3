/** Processes whose supervisor is gone. */
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { isAlive, runner, startFleet, until } from './harness.ts'

/** What the issue allows; the machine may be busy. */
const goneWithinMs = 2_000
const busyMs = 3_000

suite('the supervisor is killed', { concurrency: 2, timeout: 60_000 }, () => {
  test('while its processes loop for ever: none is left after 2 s', async (t) => {
    const { supervisor, pids, errand } = await startFleet(t, 3, [
      '--processes',
      '3',
      '--slots',
      '1',
    ])
    const jobs = await errand.enqueueMany([1, 2, 3].map(() => ['spin'] as const))
    const spinning = await Promise.all(jobs.map(({ id }) => runner(errand, id)))
    assert.deepEqual(new Set(spinning), new Set(pids()))
    // By now they loop.
    await new Promise((resolve) => setTimeout(resolve, 500))
    const since = performance.now()
    supervisor.kill('SIGKILL')
    await until(() => !spinning.some(isAlive))
    const tookMs = performance.now() - since
    assert.ok(tookMs <= goneWithinMs + busyMs, `they were gone after ${tookMs} ms`)
  })

  test('while they wait: what runs is aborted and given back, and they end by themselves', async (t) => {
    const { supervisor, pids, errand } = await startFleet(t, 2, ['--processes', '2'])
    const all = pids()
    const jobs = await errand.enqueueMany([['wait'], ['nap', 600_000]] as const)
    for (const { id } of jobs) await runner(errand, id)
    // Whoever reads their log may be gone as well.
    supervisor.deafen()
    supervisor.kill('SIGKILL')
    await until(() => !all.some(isAlive))
    for (const { id } of jobs) {
      const job = await errand.jobs.get(id)
      assert.deepEqual([job?.state, job?.interruptions, job?.losses], ['ready', 1, 0])
    }
    const workers = await errand.workers.list()
    assert.deepEqual([...new Set(workers.map(({ state }) => state))], ['stopped'])
  })
})
