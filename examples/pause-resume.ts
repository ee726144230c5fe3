/** A paused queue keeps its jobs; the pause lies in the store, so that every worker obeys it, late joiners too. */
import { createErrand, task } from 'errand'
import { memory } from 'errand/memory'

const send = task({ name: 'send', queue: 'mail', run: ({ to }: { to: string }) => `sent to ${to}` })
const other = task({ name: 'other', run: () => 'done' })

const errand = createErrand({
  store: memory(),
  tasks: [send, other],
  queues: { mail: { slots: 2 } },
})

await errand.queues.pause('mail')
await errand.worker().start()

const mail = await errand.enqueue(send, { to: 'ada' })
const done = await errand.enqueue(other)
console.log(await done.result())

for (const { name, paused, counts } of await errand.queues.list())
  console.log(name, { paused }, counts)

await errand.queues.resume('mail')
console.log(await mail.result())

// `purge` removes what waits.
await errand.enqueue(send, { to: 'bob' }, { delay: '1h' })
console.log(await errand.queues.purge('mail'))

await errand.close()

// Output:
// done
// default { paused: false } { completed: 1 }
// mail { paused: true } { ready: 1 }
// sent to ada
// { removed: 1 }
