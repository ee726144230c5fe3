/** A singleton: a loop that runs once however many processes start it. This one looks for new orders and enqueues a job for each. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createErrand, singleton, task } from 'errand'
import { sqlite } from 'errand/sqlite'

const folder = await mkdtemp(join(tmpdir(), 'errand-example-'))
const orders = ['tea', 'cake', 'milk']

const ship = task({
  name: 'ship',
  run: ({ order }: { order: string }) => `${order} is on its way`,
})

const intake = singleton({
  name: 'intake',
  pause: '20ms', // from the end of a round to the start of the next
  keepLock: true, // this process runs all rounds until it stops or dies
  ttl: '5s', // when it dies, another one goes on after this
  async run({ extend, log }) {
    const [order] = orders
    if (order === undefined) return
    await extend() // rejects, and ends the round, should the lock have been lost
    await errand.enqueue(ship, { order })
    log.info(`took in ${order}`)
    orders.shift()
  },
})

const errand = createErrand({
  store: sqlite(join(folder, 'errand.db')),
  tasks: [ship],
  singletons: [intake],
})
errand.on('singleton-log', ({ singleton: name, text }) => console.log(`${name}: ${text}`))

const stop = new AbortController()
const ended = errand.singletons.run('intake', { signal: stop.signal })
await errand.worker().start()
while (orders.length > 0) await new Promise((resolve) => setTimeout(resolve, 20))

// Each round that succeeds is a beat in the store; with `errand check intake --max-age 1m` a probe looks whether it goes on.
const { passes } = await errand.singletons.check('intake', 60_000)
console.log('alive:', passes, 'locked:', (await errand.singletons.owner('intake')) !== null)

// A stop ends the round under way and frees the lock.
stop.abort()
await ended
console.log('locked:', (await errand.singletons.owner('intake')) !== null)

const { jobs } = await errand.jobs.list()
for (const { id } of jobs.toReversed()) console.log(await errand.jobs.result(id))

await errand.close()
await rm(folder, { recursive: true })

// Output:
// intake: took in tea
// intake: took in cake
// intake: took in milk
// alive: true locked: true
// locked: false
// tea is on its way
// cake is on its way
// milk is on its way
