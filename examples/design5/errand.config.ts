/** The app: a store, tasks, queues. The command line finds it by this name or by --config. */
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createErrand } from 'errand'
import { sqlite } from 'errand/sqlite'
import { alert, index, resize } from './tasks.ts'

export default createErrand({
  store: sqlite(join(tmpdir(), `errand-design5-${process.pid}.db`)),
  tasks: [resize, index, alert],
  queues: { images: { slots: 4 }, default: { slots: 20 } },
  lease: '30s',
  retention: { completed: '24h', failed: '14d' },
})
