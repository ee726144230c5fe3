/** The smallest program: a task, a worker, a job and its result. */
import { createErrand, task } from 'errand'
import { memory } from 'errand/memory'

const greet = task({
  name: 'greet',
  run: ({ name }: { name: string }) => `Hello, ${name}!`,
})

const errand = createErrand({ store: memory(), tasks: [greet] })
await errand.worker().start()

const job = await errand.enqueue(greet, { name: 'Ada' })
console.log(await job.result())

await errand.close()

// Output:
// Hello, Ada!
