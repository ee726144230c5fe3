/** An idle worker on a file: 50 queues and nothing to do. */
import { createErrand } from '../../src/errand.ts'
import { sqlite } from '../../src/stores/sqlite/index.ts'

const { file, queues } = JSON.parse(process.argv[2] ?? '{}') as { file: string; queues: number }
const names = Array.from({ length: queues }, (_, i) => [`queue-${i}`, {}] as const)
const errand = createErrand({ store: sqlite(file), queues: Object.fromEntries(names) })
await errand.worker().start()
process.send?.('up')
