/** What happens after an error: backoff, a custom rule, and the handler's own word. */
import { constant, createErrand, RetryAfter, task, Unrecoverable } from 'errand'
import { memory } from 'errand/memory'

class NotFound extends Error {}

// Fails twice and succeeds at the third attempt.
const flaky = task({
  name: 'flaky',
  retry: { limit: 5, backoff: constant('10ms') },
  run(_input: undefined, job) {
    if (job.attempt < 3) throw new Error(`no luck with attempt ${job.attempt}`)
    return 'done'
  },
})

// `when` says which errors are worth a retry; a function as backoff decides case by case.
const fetchPage = task({
  name: 'fetch-page',
  retry: {
    limit: 5,
    when: (error) => !(error instanceof NotFound),
    backoff: (_error, { failures }) => (failures < 3 ? '10ms' : 'fail'),
  },
  run({ url }: { url: string }): string {
    throw url === '/gone' ? new NotFound(url) : new Error(`cannot read ${url}`)
  },
})

// The handler may know best: `RetryAfter` sets the time of the retry, `Unrecoverable` ends the job.
const rateLimited = task({
  name: 'rate-limited',
  run(_input: undefined, job) {
    if (job.attempt === 1) throw new RetryAfter('20ms')
    throw new Unrecoverable('the account is closed')
  },
})

const errand = createErrand({ store: memory(), tasks: [flaky, fetchPage, rateLimited] })
await errand.worker().start()

const jobs = [
  await errand.enqueue(flaky),
  await errand.enqueue(fetchPage, { url: '/slow' }),
  await errand.enqueue(fetchPage, { url: '/gone' }),
  await errand.enqueue(rateLimited),
]
for (const job of jobs) {
  await job.result().catch(() => undefined)
  const record = await errand.jobs.get(job.id)
  if (record === null) continue
  const last = record.errors.at(-1)
  console.log(
    `${record.task}: ${record.state} after ${record.attempts}, last error: ${last?.message}`,
  )
}

await errand.close()

// Output:
// flaky: completed after 3, last error: no luck with attempt 2
// fetch-page: failed after 3, last error: cannot read /slow
// fetch-page: failed after 1, last error: /gone
// rate-limited: failed after 2, last error: the account is closed
