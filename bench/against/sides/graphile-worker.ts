/** graphile-worker, with the settings that baseline.md found best. It keeps no finished jobs. */
import pg from 'pg'
import type { Mail } from '../../kit/job.ts'
import type { Setup, Side } from '../side.ts'
import { loadPeer } from './package.ts'

interface Graphile {
  readonly makeWorkerUtils: (options: object) => Promise<{
    readonly migrate: () => Promise<void>
    readonly addJob: (task: string, payload: Mail) => Promise<unknown>
    readonly addJobs: (jobs: readonly object[]) => Promise<unknown>
    readonly release: () => Promise<void>
  }>
  readonly run: (options: object) => Promise<{ readonly stop: () => Promise<void> }>
  readonly Logger: new (factory: () => (level: string, message: string) => void) => object
}

/** A local queue makes it fast; without one it starts a job sooner. */
const presets = {
  throughput: {
    concurrentJobs: 24,
    maxPoolSize: 10,
    localQueue: { size: 5_000 },
    completeJobBatchDelay: 100,
  },
  latency: { concurrentJobs: 10, maxPoolSize: 12 },
} as const

export async function openGraphile({ url, purpose }: Setup): Promise<Side> {
  const { makeWorkerUtils, run, Logger } = (await loadPeer('graphile-worker')) as Graphile
  const logger = new Logger(() => (level, message) => {
    if (level === 'error') console.error(`graphile-worker: ${message}`)
  })
  const pool = new pg.Pool({ connectionString: url, max: 10 })
  const heard = (error: Error): void => console.error(`graphile-worker: ${String(error)}`)
  pool.on('error', heard)
  pool.on('connect', (client) => client.on('error', heard))
  const utils = await makeWorkerUtils({ pgPool: pool, logger })
  const waiting = async (): Promise<number> => {
    const { rows } = await pool.query('SELECT count(*)::int AS jobs FROM graphile_worker.jobs')
    return (rows as readonly { jobs: number }[])[0]?.jobs ?? NaN
  }
  return {
    setup: () => utils.migrate(),
    enqueue: (mail) => utils.addJob('mail', mail),
    enqueueMany: (mails) =>
      utils.addJobs(mails.map((payload) => ({ identifier: 'mail', payload }))),
    waiting,
    work: async (ran) => {
      const runner = await run({
        preset: { worker: { connectionString: url, logger, ...presets[purpose] } },
        noHandleSignals: true,
        taskList: { mail: (mail: Mail) => ran(mail.id) },
      })
      return () => runner.stop()
    },
    seen: () => null,
    check: async () => {
      const left = await waiting()
      if (left !== 0) throw new Error(`graphile-worker left ${left} jobs`)
    },
    close: async () => {
      await utils.release()
      await pool.end()
    },
  }
}
