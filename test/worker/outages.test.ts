/**
 * Workers whose server goes away for a while: they wait, rescue nobody, and go on when it is back. The outage lasts a few leases;
 * with `ERRAND_FULL=1` five minutes with the lease that people have.
 */
import assert from 'node:assert/strict'
import { describe, test, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createErrand, task, type Errand } from 'errand'
import { postgres } from 'errand/postgres'
import { redis } from 'errand/redis'
import type { AnyTask } from '../../src/core/task.ts'
import type { Store } from '../../src/store/store.ts'
import { canStartPostgres, startPostgres } from '../postgres-server.ts'
import { canStartRedis, startRedis } from '../redis-server.ts'
import type { Started } from '../services.ts'
import { gate } from './harness.ts'
import { isFull } from '../full.ts'
import { lateness } from '../lateness.ts'

const times = isFull
  ? ({ lease: '30s', outageMs: 300_000 } as const)
  : ({ lease: '2s', outageMs: 8_000 } as const)
const resumesWithinMs = 5_000
const patienceMs = 30_000

interface Server extends Started {
  readonly url: string
}

// They wait, each for a server of its own.
describe('outages', { concurrency: true }, () => {
  if (canStartPostgres()) outages('PostgreSQL', () => startPostgres({}), postgres)
  if (canStartRedis()) {
    const durable = ['--appendonly', 'yes', '--appendfsync', 'always']
    outages('Redis', () => startRedis(...durable), redis)
  }
})

function outages(name: string, serve: () => Promise<Server>, open: (url: string) => Store): void {
  test(
    `${name}: workers wait for a server that is away, resume within five seconds, and rescue no live job`,
    { timeout: times.outageMs + 120_000 },
    async (t) => {
      const server = await serving(t, serve)
      const end = gate()
      let starts = 0
      const live = task({
        name: 'live',
        timeout: '1h',
        run: async () => {
          starts += 1
          await end.promise
          return 'lived'
        },
      })
      const brief = task({ name: 'brief', run: () => 'done' })
      const apps = [1, 2].map(() => appOn(t, open(server.url), [live, brief]))
      let rescued = 0
      for (const app of apps) {
        app.on('job-rescued', () => void (rescued += 1))
        await app.worker().start()
      }
      const [app] = apps as [Errand, Errand]
      const jobs = await app.enqueueMany(Array.from({ length: 6 }, () => [live] as const))
      await holds('all jobs to run', async () => {
        const records = await Promise.all(jobs.map(({ id }) => app.jobs.get(id)))
        return records.every((job) => job?.startedAt)
      })

      await server.kill()
      await sleep(times.outageMs)
      await server.start()
      const lateMs = lateness(t)
      const back = performance.now()
      await holds('a job to be taken', () => app.enqueue(brief).then((job) => job.result()))
      const resumedMs = Math.round(performance.now() - back)
      t.diagnostic(`away for ${times.outageMs} ms, resumed ${resumedMs} ms after its return`)
      assert.ok(resumedMs <= resumesWithinMs + lateMs(), `${resumedMs} ms`)

      // Long enough for a sweep that takes live jobs for lost ones.
      const sweptBy = performance.now() + (isFull ? 40_000 : 4_000)
      await holds('sweeps', () => performance.now() > sweptBy, 60_000)
      end.resolve()
      for (const job of jobs) assert.equal(await job.result({ timeout: '30s' }), 'lived')
      const records = await Promise.all(jobs.map(({ id }) => app.jobs.get(id)))
      assert.deepEqual(
        records.map((job) => [job?.state, job?.attempts, job?.losses]),
        jobs.map(() => ['completed', 1, 0]),
      )
      assert.deepEqual([starts, rescued], [jobs.length, 0])
    },
  )

  test(
    `${name}: a stop while the server is away ends within its bounds, and its job runs elsewhere afterwards`,
    { timeout: 120_000 },
    async (t) => {
      const server = await serving(t, serve)
      const began = gate()
      let runs = 0
      const patient = task({
        name: 'patient',
        run: async (_input: undefined, job) => {
          began.resolve()
          runs += 1
          if (runs > 1) return 'elsewhere'
          await new Promise((_resolve, reject) =>
            job.signal.addEventListener('abort', () => reject(new Error('aborted'))),
          )
          return 'here'
        },
      })
      const first = appOn(t, open(server.url), [patient])
      const worker = first.worker()
      await worker.start()
      const { id } = await first.enqueue(patient)
      await began.promise
      await holds('its start to be written', async () => (await first.jobs.get(id))?.startedAt)

      await server.kill()
      const lateMs = lateness(t)
      const from = performance.now()
      await worker.stop({ grace: '1s', abortGrace: '1s' })
      const ms = Math.round(performance.now() - from)
      t.diagnostic(`stopped after ${ms} ms`)
      assert.ok(ms <= 7_000 + lateMs(), `${ms} ms`)
      await first.close()

      await server.start()
      const second = appOn(t, open(server.url), [patient])
      await second.worker().start()
      assert.equal(await second.jobs.result(id, { timeout: '60s' }), 'elsewhere')
    },
  )
}

async function serving(t: TestContext, serve: () => Promise<Server>): Promise<Server> {
  const server = await serve()
  t.after(() => server.stop())
  return server
}

function appOn(t: TestContext, store: Store, tasks: readonly AnyTask[]): Errand {
  const app = createErrand({ store, tasks, lease: times.lease, slots: 5 })
  t.after(() => app.close())
  return app
}

/** Tries until something holds. A call that rejects is one that does not hold yet. */
async function holds(what: string, look: () => unknown, ms = patienceMs): Promise<void> {
  const end = performance.now() + ms
  for (;;) {
    const held = await Promise.resolve()
      .then(look)
      .catch(() => false)
    if (held) return
    if (performance.now() > end) throw new Error(`${what}: not within ${ms} ms`)
    await sleep(20)
  }
}
