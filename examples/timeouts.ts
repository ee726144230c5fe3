/** A timeout aborts `job.signal`; hand it to whatever the handler waits for. */
import { setTimeout as sleep } from 'node:timers/promises'
import { createErrand, task } from 'errand'
import { memory } from 'errand/memory'

const slow = task({
  name: 'slow',
  timeout: '50ms',
  retry: 'never',
  run: (_input: undefined, job) => sleep(60_000, 'done', { signal: job.signal }),
})

const errand = createErrand({ store: memory(), tasks: [slow] })
await errand.worker().start()

const job = await errand.enqueue(slow)
await job.result().catch((error: { code: string }) => console.log(error.code))

const record = await errand.jobs.get(job.id)
console.log(record?.state, record?.reason)
console.log(record?.errors[0]?.message.replace(job.id, '…'))

await errand.close()

// Output:
// job-failed
// failed timeout
// slow … took longer than its timeout of 50 ms.
