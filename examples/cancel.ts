/** Cancel ends a waiting job at once and asks a running one to end, from any process. */
import { setTimeout as sleep } from 'node:timers/promises'
import { createErrand, task } from 'errand'
import { memory } from 'errand/memory'

const started = Promise.withResolvers<void>()

const download = task({
  name: 'download',
  async run(_input: { url: string }, job) {
    started.resolve()
    // Whatever takes an AbortSignal ends at once; a loop looks at `job.signal.aborted`.
    await sleep(60_000, undefined, { signal: job.signal })
  },
})

const errand = createErrand({ store: memory(), tasks: [download] })
await errand.worker().start()

const waiting = await errand.enqueue(download, { url: '/a' }, { delay: '1h' })
console.log(await errand.jobs.cancel(waiting.id))

const running = await errand.enqueue(download, { url: '/b' })
await started.promise
console.log(await errand.jobs.cancel(running.id, { reason: 'no longer wanted' }))
await running.result().catch((error: { code: string }) => console.log(error.code))

const record = await errand.jobs.get(running.id)
console.log(record?.state, '-', record?.reason)

// What has ended cannot be cancelled. A filter cancels whatever it fits.
console.log(await errand.jobs.cancel(running.id))
await errand.enqueueMany([
  [download, { url: '/c' }, { delay: '1h' }],
  [download, { url: '/d' }, { delay: '1h' }],
])
console.log(await errand.jobs.cancel({ task: 'download', state: 'scheduled' }))

await errand.close()

// Output:
// { cancelled: 1 }
// { asked: 1 }
// job-cancelled
// cancelled - no longer wanted
// { final: 1 }
// { cancelled: 2 }
