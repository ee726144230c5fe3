/** A process that takes jobs from a broker until it is killed, and tells how far it is. */
import { createErrand } from '../../src/index.ts'
import { sqlite } from '../../src/stores/sqlite/index.ts'
import type { BrokerModule } from './broker.ts'
import { storm } from './task.ts'

/** What a consumer is told, as the JSON of its argument. */
export interface Consumer {
  readonly file: string
  readonly module: string
  readonly argument: string
}

/** What it tells: messages that became jobs, that were known already, and that were parked. */
export interface Progress {
  readonly stored: number
  readonly known: number
  readonly parked: number
}

const tellMs = 50

const { file, module, argument } = JSON.parse(process.argv[2] ?? '{}') as Consumer
const { openSource } = (await import(module)) as BrokerModule
const errand = createErrand({
  store: sqlite(file),
  tasks: [storm],
  sources: [openSource(argument)],
})
errand.sources.start()
setInterval(() => {
  const [status] = errand.sources.status
  if (status === undefined) return
  const { stored, known, parked } = status
  process.send?.({ stored, known, parked } satisfies Progress)
}, tellMs)
process.once('disconnect', () => process.exit(0))
