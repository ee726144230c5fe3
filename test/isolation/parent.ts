/** A program whose worker is killed while an isolated process runs a handler: prints the pid of that. */
import { createErrand, task } from 'errand'
import { memory } from 'errand/memory'
import { saying } from './harness.ts'

const [handler = ''] = process.argv.slice(2)
const isolated = task({
  name: handler,
  run: { module: new URL('./tasks.ts', import.meta.url), export: handler },
  isolate: 'process',
})
const errand = createErrand({ store: memory(), tasks: [isolated] })
await errand.worker().start()
const job = await errand.enqueue(handler)
console.log(String(await saying(errand, job.id)))
