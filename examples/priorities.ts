/** Lower priorities run first; within one, first due is first served. */
import { createErrand, task } from 'errand'
import { memory } from 'errand/memory'

const order: string[] = []

const visit = task({
  name: 'visit',
  run({ name }: { name: string }) {
    order.push(name)
  },
})

const errand = createErrand({ store: memory(), tasks: [visit], slots: 1 })

const jobs = await errand.enqueueMany([
  [visit, { name: 'ordinary 1' }],
  [visit, { name: 'ordinary 2' }],
  [visit, { name: 'some day' }, { priority: 500 }],
  [visit, { name: 'urgent' }, { priority: -10 }],
])

await errand.worker().start()
for (const job of jobs) await job.result()
console.log(order.join(', '))

await errand.close()

// Output:
// urgent, ordinary 1, ordinary 2, some day
