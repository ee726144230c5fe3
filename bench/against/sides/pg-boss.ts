/** pg-boss, with the settings that baseline.md found best. Finished jobs stay in its table. */
import pg from 'pg'
import type { Mail } from '../../kit/job.ts'
import type { Setup, Side } from '../side.ts'
import { loadPeer } from './package.ts'

interface Boss {
  on(event: 'error', heard: (error: Error) => void): void
  start(): Promise<unknown>
  stop(options: object): Promise<void>
  createQueue(name: string, options: object): Promise<void>
  send(name: string, data: Mail): Promise<string | null>
  insert(name: string, jobs: readonly { readonly data: Mail }[]): Promise<unknown>
  work(
    name: string,
    options: object,
    handler: (jobs: readonly { readonly data: Mail }[]) => Promise<void>,
  ): Promise<string>
}

/** Notifications cost each enqueue something, so that only the measurement of pick-ups turns them on. */
const settings = {
  throughput: {
    queue: {},
    work: { batchSize: 1_000, localConcurrency: 2, burstWhenBatchFull: true },
  },
  latency: { queue: { notify: true }, work: { localConcurrency: 10 } },
} as const

export async function openPgBoss({ url, purpose }: Setup): Promise<Side> {
  const { PgBoss } = (await loadPeer('pg-boss')) as { PgBoss: new (options: object) => Boss }
  const boss = new PgBoss({ connectionString: url, useListenNotify: purpose === 'latency' })
  boss.on('error', (error) => console.error(`pg-boss: ${String(error)}`))
  await boss.start()
  const count = async (state: string): Promise<number> => {
    const client = new pg.Client(url)
    await client.connect()
    const text = 'SELECT count(*)::int AS jobs FROM pgboss.job WHERE name = $1 AND state = $2'
    const { rows } = await client.query<{ jobs: number }>(text, ['mail', state])
    await client.end()
    return rows[0]?.jobs ?? NaN
  }
  return {
    setup: () => boss.createQueue('mail', settings[purpose].queue),
    enqueue: (mail) => boss.send('mail', mail),
    enqueueMany: (mails) =>
      boss.insert(
        'mail',
        mails.map((data) => ({ data })),
      ),
    waiting: () => count('created'),
    work: async (ran) => {
      await boss.work('mail', settings[purpose].work, async (jobs) => {
        for (const { data } of jobs) ran(data.id)
      })
      return () => boss.stop({ graceful: true, close: false })
    },
    seen: () => null,
    check: async (jobs) => {
      const completed = await count('completed')
      if (completed !== jobs) throw new Error(`pg-boss completed ${completed} jobs of ${jobs}`)
    },
    close: () => boss.stop({ graceful: true }),
  }
}
