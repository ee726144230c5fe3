/** Uses the app: enqueues alone, in bulk and in a transaction, runs a worker, looks at jobs and mends them. */
import { rm } from 'node:fs/promises'
import { DatabaseSync } from 'node:sqlite'
import errand from './errand.config.ts'
import { index, resize } from './tasks.ts'

const worker = errand.worker({ queues: ['images', 'default'], slots: 1 })
await worker.start()

const job = await errand.enqueue(
  resize,
  { path: 'a.png', width: 200 },
  { delay: '10ms', priority: -5 },
)
console.log('enqueue:', job.inserted)
const { bytes } = await job.result({ timeout: '30s' })
await followers(job.id)
console.log('result:', bytes)

const many = await errand.enqueueMany([
  [resize, { path: 'b.png', width: 10 }],
  [resize, { path: 'c.png', width: 20 }, { runAt: new Date(Date.now() + 50) }],
])
const results = await Promise.all(many.map((one) => one.result()))
for (const one of many) await followers(one.id)
console.log('many:', results.map((result) => result.bytes).join(', '))

const db = new DatabaseSync(errand.store.info.location)
db.exec('BEGIN IMMEDIATE')
const inTransaction = await errand.enqueue(index, { bytes: 1 }, { tx: db })
db.exec('COMMIT')
db.close()
await inTransaction.result()

const bad = await errand.enqueue(resize, { path: 'missing.png', width: 10 })
const code = await bad.result().catch((error: { code: string }) => error.code)
await followers(bad.id)
console.log('failed:', code)

await errand.queues.pause('images')
const failed = await errand.jobs.list({ state: 'failed' })
console.log('failed:', failed.jobs.map(({ task, reason }) => `${task} (${reason})`).join())
console.log('retry:', await errand.jobs.retry({ state: 'failed' }))
console.log('cancel:', await errand.jobs.cancel(bad.id))
console.log('get:', (await errand.jobs.get(bad.id))?.state)

await worker.stop({ grace: '25s' })
await errand.close()
const { location } = errand.store.info
for (const end of ['', '-wal', '-shm']) await rm(location + end, { force: true })

/** Waits for the jobs that followed from one. */
async function followers(parent: string): Promise<void> {
  const { jobs } = await errand.jobs.list({ parent })
  for (const { id } of jobs) await errand.jobs.result(id)
}

// Output:
// enqueue: created
// index: 120000 bytes
// result: 120000
// index: 300 bytes
// index: 1200 bytes
// many: 300, 1200
// index: 1 bytes
// alert: images.resize: there is no missing.png
// failed: job-failed
// failed: images.resize (error)
// retry: { retried: 1 }
// cancel: { cancelled: 1 }
// get: cancelled
