/** At most one job of a kind: the store upholds it, for single and bulk enqueues from any process. */
import { createErrand, task } from 'errand'
import { memory } from 'errand/memory'

// `true`: no second job with the same input while one waits or runs.
const reindex = task({
  name: 'reindex',
  unique: true,
  run: (_input: { table: string }) => 'done',
})

// A key of its own, held at least ten minutes from the enqueue.
const notify = task({
  name: 'notify',
  unique: {
    key: (input) => input.user,
    for: '10m',
  },
  run: (input: { user: string; text: string }) => input.text,
})

// `replace`: the waiting job gets the newer input and due time, and keeps its id.
const save = task({
  name: 'save',
  unique: { key: (input) => input.document, onConflict: 'replace' },
  run: (input: { document: string; text: string }) => `saved ${input.text}`,
})

const errand = createErrand({ store: memory(), tasks: [reindex, notify, save] })

const first = await errand.enqueue(reindex, { table: 'users' })
const second = await errand.enqueue(reindex, { table: 'users' })
const other = await errand.enqueue(reindex, { table: 'orders' })
console.log('reindex:', first.inserted, second.inserted, other.inserted, second.id === first.id)

const draft = await errand.enqueue(save, { document: 'a', text: 'draft' }, { delay: '1h' })
const final = await errand.enqueue(save, { document: 'a', text: 'final' })
console.log('save:', draft.inserted, final.inserted, final.id === draft.id)

await errand.worker().start()
console.log('save:', await draft.result())

const hello = await errand.enqueue(notify, { user: 'ada', text: 'hello' })
await hello.result()
const again = await errand.enqueue(notify, { user: 'ada', text: 'hello again' })
console.log('notify:', hello.inserted, again.inserted)

await errand.close()

// Output:
// reindex: created duplicate created true
// save: created replaced true
// save: saved final
// notify: created duplicate
