/** `onFailure` tasks get a report of the job that failed: its input, its errors, its attempts. */
import { constant, createErrand, task, type FailureReport } from 'errand'
import { memory } from 'errand/memory'

const alert = task({
  name: 'alert',
  run({ job, input, reason, errors, attempts }: FailureReport) {
    const why = errors.map(({ attempt, message }) => `${attempt}: ${message}`).join(', ')
    return `${job.task} of ${JSON.stringify(input)} failed (${reason}) after ${attempts}: ${why}`
  },
})

const charge = task({
  name: 'charge',
  retry: { limit: 1, backoff: constant('10ms') },
  onFailure: alert,
  run(_input: { order: number }, job) {
    throw new Error(job.attempt === 1 ? 'no answer' : 'card declined')
  },
})

const errand = createErrand({ store: memory(), tasks: [charge, alert] })
await errand.worker().start()

const job = await errand.enqueue(charge, { order: 17 })
await job.result().catch((error: { code: string }) => console.log(error.code))

const { jobs } = await errand.jobs.list({ parent: job.id })
for (const { id } of jobs) console.log(await errand.jobs.result(id))

await errand.close()

// Output:
// job-failed
// charge of {"order":17} failed (error) after 2: 1: no answer, 2: card declined
