/** `Postpone` runs the same job again later; it is no failure and burns no attempt. */
import { createErrand, Postpone, task } from 'errand'
import { memory } from 'errand/memory'

let looks = 0

const collect = task({
  name: 'collect',
  postpone: { limit: 15, delay: '10ms' },
  run(_input: undefined, job) {
    looks += 1
    if (looks < 4) throw new Postpone() // or new Postpone('5m')
    return `ready at look ${looks}, attempt ${job.attempt}`
  },
})

const impatient = task({
  name: 'impatient',
  postpone: { limit: 2, delay: '10ms' },
  run() {
    throw new Postpone()
  },
})

const errand = createErrand({ store: memory(), tasks: [collect, impatient] })
await errand.worker().start()

const job = await errand.enqueue(collect)
console.log(await job.result())
console.log('postponed', (await errand.jobs.get(job.id))?.postpones, 'times')

const hopeless = await errand.enqueue(impatient)
await hopeless.result().catch((error: { code: string }) => console.log(error.code))
console.log((await errand.jobs.get(hopeless.id))?.reason)

await errand.close()

// Output:
// ready at look 4, attempt 1
// postponed 3 times
// job-failed
// postpone-limit
