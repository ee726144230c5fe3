/** A worker: it loads the handlers, runs what waits, and ends when nothing is left. */
import { createErrand } from 'errand'
import { sqlite } from 'errand/sqlite'
import * as handlers from './handlers.ts'

const errand = createErrand({ store: sqlite(process.argv[2] ?? 'errand.db'), tasks: [handlers] })
await errand.worker().start()

const isBusy = async (): Promise<boolean> =>
  (await errand.jobs.counts()).some(({ state }) => state !== 'completed')
while (await isBusy()) await new Promise((resolve) => setTimeout(resolve, 10))

await errand.close()
