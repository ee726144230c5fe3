/** The demo's configuration, which `npm run errand -- … --config demo/errand.config.ts` looks into as well. */
import { fileURLToPath } from 'node:url'
import { createErrand } from 'errand'
import { sqlite } from 'errand/sqlite'
import { compress } from './tasks.ts'

export default createErrand({
  store: sqlite(fileURLToPath(new URL('.data/demo.db', import.meta.url))),
  tasks: [compress],
  slots: 16,
  // Short, so that a demo that was killed goes on within seconds: its jobs are leased until then.
  lease: '3s',
})
