/** When a job runs: after a delay, at a time, and never too late. */
import { createErrand, task } from 'errand'
import { memory } from 'errand/memory'

const order: string[] = []

const remind = task({
  name: 'remind',
  run({ text }: { text: string }) {
    order.push(text)
  },
})

const errand = createErrand({ store: memory(), tasks: [remind] })

const later = await errand.enqueue(remind, { text: 'later' }, { delay: '300ms' })
const soon = await errand.enqueue(remind, { text: 'soon' }, { runAt: new Date(Date.now() + 100) })
const now = await errand.enqueue(remind, { text: 'now' })
console.log((await errand.jobs.get(later.id))?.state, (await errand.jobs.get(now.id))?.state)

// A job that may not start late fails without an attempt when it could not start in time.
const onTime = await errand.enqueue(remind, { text: 'too late' }, { startWithin: '1ms' })
await new Promise((resolve) => setTimeout(resolve, 10))

await errand.worker().start()
for (const job of [now, soon, later]) await job.result()
console.log(order.join(', '))

await onTime.result().catch((error: { code: string }) => console.log(error.code))
console.log((await errand.jobs.get(onTime.id))?.reason)

await errand.close()

// Output:
// scheduled ready
// now, soon, later
// job-failed
// start-within
