/** Errand itself, as a user would set it up. */
import { fileURLToPath } from 'node:url'
import { createErrand, type ErrandConfig, type Store } from 'errand'
import { postgres } from 'errand/postgres'
import { redis } from 'errand/redis'
import { sqlite } from 'errand/sqlite'
import { checkResults } from '../../kit/app.ts'
import { isolatedMail, mailTask, type Mail } from '../../kit/job.ts'
import { WatchedStore } from '../../kit/watched-store.ts'
import { isolatedSlots, type Setup, type Side } from '../side.ts'

/** The best settings found for jobs that take no time, for every purpose. */
const bestOptions = { slots: 100 } as const
export const bestErrand: string = Object.entries(bestOptions)
  .map(([name, value]) => `${name} ${value}`)
  .join(', ')

/** What only Errand is asked. */
export interface ErrandSide extends Side {
  readonly watched: WatchedStore
  /** Enqueues jobs that are due tomorrow. */
  scheduleMany(mails: readonly Mail[]): Promise<unknown>
  pause(): Promise<void>
  resume(): Promise<void>
}

/** Handlers elsewhere cannot tell that they ran, so that what is around them does. */
function isolatedOptions(ran: (id: number) => void): Pick<ErrandConfig<unknown>, 'slots' | 'wrap'> {
  return {
    slots: isolatedSlots,
    wrap: async (_job, next) => {
      const output = await next()
      ran((output as { readonly ok: number }).ok)
      return output
    },
  }
}

/** The store of a server, or of a file. */
export function storeOf(url: string): Store {
  if (url.startsWith('postgres:')) return postgres(url)
  return url.startsWith('file:') ? sqlite(fileURLToPath(url)) : redis(url)
}

export function openErrand(
  { url, tuning, history, isolate }: Setup,
  more: Pick<ErrandConfig<unknown>, 'queues'> = {},
): ErrandSide {
  const watched = new WatchedStore(storeOf(url))
  let told: (id: number) => void = () => undefined
  const task = isolate === undefined ? mailTask((id) => told(id)) : isolatedMail(isolate)
  const errand = createErrand({
    ...more,
    ...(tuning === 'best' ? bestOptions : {}),
    ...(history === 'none' ? { retention: 'none' } : {}),
    ...(isolate === undefined ? {} : isolatedOptions((id) => told(id))),
    store: watched.store,
    tasks: [task],
  })
  const count = async (state: string): Promise<number> =>
    (await errand.jobs.counts()).find((found) => found.state === state)?.count ?? 0
  return {
    watched,
    setup: () => errand.store.setup(),
    enqueue: (mail) => errand.enqueue(task, mail),
    enqueueMany: (mails) => errand.enqueueMany(mails.map((mail) => [task, mail] as const)),
    scheduleMany: (mails) =>
      errand.enqueueMany(mails.map((mail) => [task, mail, { delay: '1d' }] as const)),
    pause: () => errand.queues.pause('default'),
    resume: () => errand.queues.resume('default'),
    waiting: () => count('ready'),
    work: async (ran) => {
      told = ran
      const worker = errand.worker()
      await worker.start()
      return () => worker.stop()
    },
    seen: () => ({
      settledAt: watched.lastSettledAt,
      claims: watched.calls.filter(({ verb }) => verb === 'claim').length,
      settles: watched.calls.filter(({ verb }) => verb === 'settle').length,
    }),
    check: async (jobs) => {
      if (history === 'kept') return checkResults({ errand }, jobs)
      const counts = await errand.jobs.counts()
      if (counts.length > 0) throw new Error(`nothing should be kept: ${JSON.stringify(counts)}`)
    },
    close: () => errand.close(),
  }
}
