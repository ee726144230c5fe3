/** One of the processes that fire: tells `up` once it works, and ends when it is killed. */
import { openStore } from '../../src/cli/open-store.ts'
import { createErrand } from '../../src/errand.ts'
import { schedulesOf, tick } from './schedules.ts'

const [url = '', count = '0'] = process.argv.slice(2)
const errand = createErrand({
  store: await openStore(url),
  tasks: [tick],
  schedules: schedulesOf(Number(count)),
  lease: '2s',
  keepAtMost: 1_000_000,
})
await errand.worker({ slots: 20 }).start()
process.send?.('up')
