/** Progress and log lines stay with the job, and anyone may read them while it runs and after. */
import { createErrand, task } from 'errand'
import { memory } from 'errand/memory'

const half = Promise.withResolvers<void>()
const goOn = Promise.withResolvers<void>()

const copy = task({
  name: 'copy',
  async run({ files }: { files: string[] }, job) {
    for (const [done, file] of files.entries()) {
      job.log.info(`copied ${file}`, { bytes: 100 * (done + 1) })
      job.progress({ done: done + 1, of: files.length })
      if (done + 1 === files.length / 2) {
        half.resolve()
        await goOn.promise
      }
    }
  },
})

const errand = createErrand({ store: memory(), tasks: [copy] })
await errand.worker().start()

const job = await errand.enqueue(copy, { files: ['a', 'b', 'c', 'd'] })
await half.promise
// Notes are written in batches, a moment later.
while ((await errand.jobs.get(job.id))?.progress === undefined) await new Promise(setImmediate)
console.log('running:', (await errand.jobs.get(job.id))?.progress)

goOn.resolve()
await job.result()
console.log('ended:', (await errand.jobs.get(job.id))?.progress)
for (const { level, text } of await errand.jobs.logs(job.id)) console.log(level, text)

await errand.close()

// Output:
// running: { done: 2, of: 4 }
// ended: { done: 4, of: 4 }
// info copied a {"bytes":100}
// info copied b {"bytes":200}
// info copied c {"bytes":300}
// info copied d {"bytes":400}
