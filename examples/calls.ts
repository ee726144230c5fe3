/** A job that calls others and goes on with what they return. Its slot is free meanwhile: one is enough for all. */
import { constant, createErrand, task } from 'errand'
import { memory } from 'errand/memory'

const charge = task({
  name: 'charge',
  run({ customer, cents }: { customer: string; cents: number }) {
    console.log(`charge ${customer} ${cents}`)
    return { receipt: `${customer}-${cents}` }
  },
})

const pack = task({ name: 'pack', run: ({ item }: { item: string }) => `box of ${item}` })

const order = task({
  name: 'order',
  retry: { limit: 1, backoff: constant(10) },
  async run({ customer, items }: { customer: string; items: string[] }, job) {
    const { receipt } = await job.call(charge, { customer, cents: 100 * items.length })
    const boxes = await Promise.all(items.map((item) => job.call(pack, { item }, { id: item })))
    // The second attempt charges nobody again: its calls return what they returned to the first.
    if (job.attempt === 1) throw new Error('the printer is off')
    console.log(`attempt ${job.attempt}: ${receipt}, ${boxes.join(', ')}`)
  },
})

const errand = createErrand({ store: memory(), tasks: [charge, pack, order], slots: 1 })
await errand.worker().start()

const job = await errand.enqueue(order, { customer: 'ada', items: ['tea', 'ink'] })
await job.result()
for (const { task, state } of (await errand.jobs.list({ parent: job.id })).jobs.toReversed())
  console.log(task, state)

await errand.close()

// Output:
// charge ada 200
// attempt 2: ada-200, box of tea, box of ink
// charge completed
// pack completed
// pack completed
