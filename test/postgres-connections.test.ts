/** How many connections a process takes, whatever it declares. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { createErrand, task } from 'errand'
import { postgres } from 'errand/postgres'
import { findPostgres, query } from './postgres-server.ts'

const server = await findPostgres()

if (server !== null) {
  const { url } = server
  test.after(() => server.stop())

  test('PostgreSQL: a worker of fifty queues, its renewer and its client take three connections', async () => {
    const queues = Object.fromEntries(
      Array.from({ length: 50 }, (_, n) => [`queue-${n}`, { slots: 2 }]),
    )
    const step = task({
      name: 'step',
      run: async (_input: { n: number }) => {
        await new Promise((resolve) => setTimeout(resolve, 80))
        return 1
      },
    })
    const errand = createErrand({
      store: postgres(url, { schema: 'connections' }),
      tasks: [step],
      queues,
    })
    const worker = errand.worker()
    await worker.start()
    const jobs = await Promise.all(
      Array.from({ length: 50 }, (_, n) => errand.enqueue(step, { n }, { queue: `queue-${n}` })),
    )
    await Promise.all(jobs.map((job) => job.result({ timeout: '30s' })))
    const [row] = await query(
      url,
      `SELECT count(*)::int AS n FROM pg_stat_activity WHERE application_name = 'errand'`,
    )
    assert.ok(Number(row?.['n']) <= 3, `${row?.['n']} connections`)
    await worker.stop()
    await errand.close()
    await query(url, 'DROP SCHEMA connections CASCADE')
  })
}
