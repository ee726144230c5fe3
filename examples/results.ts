/** Results can be read by anyone who knows the job's id, as long as the job is kept; or taken, once. */
import { createErrand, isErrandError, task } from 'errand'
import { memory, MemoryDatabase } from 'errand/memory'

const square = task({
  name: 'square',
  retry: 'never',
  run({ n }: { n: number }) {
    if (n < 0) throw new RangeError('not below zero')
    return n * n
  },
})

// Two apps on one database stand for two processes on one file.
const database = new MemoryDatabase()
const errand = createErrand({ store: memory({ database }), tasks: [square] })
const elsewhere = createErrand({ store: memory({ database }) })
await errand.worker().start()

const job = await errand.enqueue(square, { n: 7 })
console.log(await job.result({ timeout: '5s' }))
console.log(await elsewhere.jobs.result(job.id))

// `take` reads the result and removes the job in one step: of several takers, one gets it.
console.log(await elsewhere.jobs.result(job.id, { take: true }))
await job.result().catch((error: { code: string }) => console.log(error.code))

// A job that failed rejects, with the handler's error as the cause.
const bad = await errand.enqueue(square, { n: -1 })
try {
  await bad.result()
} catch (error) {
  if (!isErrandError(error, 'job-failed')) throw error
  const { name, message } = error.cause as Error
  console.log(error.code, name, message)
}

// No wait is without a deadline.
const waiting = await errand.enqueue(square, { n: 2 }, { delay: '1h' })
await waiting
  .result({ timeout: '20ms' })
  .catch((error: { code: string }) => console.log(error.code))

await elsewhere.close()
await errand.close()

// Output:
// 49
// 49
// 49
// result-gone
// job-failed RangeError not below zero
// result-timeout
