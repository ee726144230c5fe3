/** `inline` runs a job at once in the calling process, without a worker; its outcome is stored like any other. */
import { createErrand, task } from 'errand'
import { memory } from 'errand/memory'

const render = task({
  name: 'render',
  retry: { limit: 10 },
  run({ page }: { page: string }, job) {
    if (page === '') throw new Error('there is no page')
    return `<h1>${page}</h1> by attempt ${job.attempt}`
  },
})

const errand = createErrand({ store: memory(), tasks: [render] })

const job = await errand.enqueue(render, { page: 'home' }, { inline: true })
console.log(await job.result())

// There are no retries: an error is the end.
const bad = await errand.enqueue(render, { page: '' }, { inline: true })
await bad.result().catch((error: { code: string }) => console.log(error.code))

for (const { task, state, attempts } of (await errand.jobs.list()).jobs.toReversed())
  console.log(task, state, attempts)

await errand.close()

// Output:
// <h1>home</h1> by attempt 1
// job-failed
// render completed 1
// render failed 1
