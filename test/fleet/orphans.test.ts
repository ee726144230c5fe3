/** Processes whose supervisor is gone. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite, test, type TestContext } from 'node:test'
import { lateness } from '../lateness.ts'
import { configText, isAlive, runner, startFleet, until } from './harness.ts'

/** What the issue allows. */
const goneWithinMs = 2_000

/** A worker that runs an isolated process and a program beside `spin`, which blocks its event loop. */
const apart = {
  'errand.config.ts': configText
    .replace(
      'export default',
      () => `const loops = task({ name: 'loops', run: { module: new URL('./apart.ts', import.meta.url), export: 'loops' }, isolate: 'process' })
const sleeps = task({ name: 'sleeps', exec: ['/bin/sh', '-c', 'echo $$ > pid.new; mv pid.new pid; exec sleep 600'] })
export default`,
    )
    .replace('hold] })', 'hold, loops, sleeps] })'),
  'apart.ts': `export function loops(_, job) {
  job.progress(process.pid)
  for (;;) {}
}
`,
}

/** Waits until none of these processes is left, and holds them to their time. Returns by how much the machine may be late. */
async function goneInTime(t: TestContext, pids: readonly number[]): Promise<number> {
  const lateMs = lateness(t)
  const since = performance.now()
  await until(() => !pids.some(isAlive))
  const tookMs = performance.now() - since
  const mostMs = goneWithinMs + 1_000 + lateMs()
  assert.ok(tookMs <= mostMs, `they were gone after ${tookMs} ms, and ${mostMs} ms are allowed`)
  return lateMs()
}

suite('the supervisor is killed', { concurrency: 2, timeout: 120_000 }, () => {
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
    supervisor.kill('SIGKILL')
    await goneInTime(t, spinning)
  })

  test('while a process loops for ever: nothing is left of what it runs apart', async (t) => {
    const { cwd, supervisor, pids, errand } = await startFleet(t, 1, ['--processes', '1'], apart)
    const [worker = 0] = pids()
    const [loops, sleeps] = [await errand.enqueue('loops'), await errand.enqueue('sleeps')]
    const isolated = await runner(errand, loops.id)
    assert.ok(sleeps.id !== loops.id && isolated !== worker)
    const program = (): number => {
      try {
        return Number(readFileSync(join(cwd, 'pid'), 'utf8'))
      } catch {
        return 0
      }
    }
    await until(program, 'the start of the program')
    const spin = await errand.enqueue('spin')
    assert.equal(await runner(errand, spin.id), worker)
    const all = [worker, isolated, program()]
    t.after(() => all.filter(isAlive).forEach((pid) => process.kill(pid, 'SIGKILL')))
    assert.ok(all.every(isAlive))
    // By now it loops.
    await new Promise((resolve) => setTimeout(resolve, 500))
    supervisor.kill('SIGKILL')
    await goneInTime(t, all)
  })

  test('while they wait: what runs is aborted and given back, and they end by themselves', async (t) => {
    const { supervisor, pids, errand } = await startFleet(t, 2, ['--processes', '2'])
    const all = pids()
    const jobs = await errand.enqueueMany([['wait'], ['nap', 600_000]] as const)
    for (const { id } of jobs) await runner(errand, id)
    // Whoever reads their log may be gone as well.
    supervisor.deafen()
    supervisor.kill('SIGKILL')
    const lateMs = await goneInTime(t, all)
    const records = await Promise.all(jobs.map(({ id }) => errand.jobs.get(id)))
    if (lateMs > 3_000 && records.some((job) => job?.state === 'running'))
      return t.skip('the machine is so busy that the time to give back is over too soon')
    for (const job of records) {
      assert.deepEqual([job?.state, job?.interruptions, job?.losses], ['ready', 1, 0])
    }
    const workers = await errand.workers.list()
    assert.deepEqual([...new Set(workers.map(({ state }) => state))], ['stopped'])
  })
})
