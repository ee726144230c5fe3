/** A worker process: tells `up` once it works, `stopped` once it has stopped after SIGTERM. */
import { createErrand } from '../../src/errand.ts'
import { sqlite } from '../../src/stores/sqlite/index.ts'
import * as tasks from './child-tasks.ts'

export interface ChildOptions {
  readonly file: string
  readonly lease: number
  readonly slots: number
}

const { file, lease, slots } = JSON.parse(process.argv[2] ?? '{}') as ChildOptions
const errand = createErrand({
  store: sqlite(file),
  tasks,
  lease,
  slots,
  queues: { naps: {}, default: {} },
})
const worker = errand.worker()
await worker.start()
process.send?.('up')
process.once('SIGTERM', () => {
  void worker.stop({ grace: '1s', abortGrace: '1s' }).then(async () => {
    process.send?.('stopped')
    await errand.close()
    process.exit(0)
  })
})
