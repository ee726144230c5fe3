/** What isolation costs: a drain of jobs that do nothing, and the first job after the start. */
import { createErrand } from 'errand'
import { sqlite } from 'errand/sqlite'
import { checkResults, enqueueMails, fileOf, type Place } from '../kit/app.ts'
import { isolatedMail } from '../kit/job.ts'
import { slept, ticks } from '../kit/ticks.ts'
import { WatchedStore } from '../kit/watched-store.ts'
import type { Figures } from '../workload.ts'

/** As many as run at a time on two cores without waiting for each other. */
const slots = 4

/** Drains so many jobs in threads or processes. Throws unless each has its own result. */
export async function isolation(
  place: Place,
  kind: 'thread' | 'process',
  jobs: number,
): Promise<Figures> {
  const watched = new WatchedStore(sqlite(fileOf(place), { durability: place.durability }))
  const mail = isolatedMail(kind)
  const errand = createErrand({ store: watched.store, tasks: [mail], slots })
  const app = { errand, task: mail, watched }
  const worker = errand.worker()
  await enqueueMails(app, 0, 1)
  const since = ticks()
  await worker.start()
  const firstAt = await watched.reached(1)
  await errand.queues.pause('default')
  await enqueueMails(app, 1, jobs)
  await slept(500)
  const resumedAt = ticks()
  await errand.queues.resume('default')
  const settledAt = await watched.reached(jobs)
  await worker.stop()
  await checkResults(app, jobs)
  await errand.close()
  return { rate: ((jobs - 1) / (settledAt - resumedAt)) * 1_000, 'first job': firstAt - since }
}
