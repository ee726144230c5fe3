/** A context is made once per process, shared by all handlers, typed, and disposed at stop. */
import { createErrand, tasksWith } from 'errand'
import { memory } from 'errand/memory'

/** Stands for a connection pool. */
class Db implements AsyncDisposable {
  readonly names = new Map([
    [1, 'Ada'],
    [2, 'Grace'],
  ])

  async [Symbol.asyncDispose](): Promise<void> {
    console.log('db closed')
  }
}

// Handlers of tasks made here see `job.context` as `{ db: Db }`; createErrand refuses a context that does not fit.
const { task } = tasksWith<{ db: Db }>()

const greet = task({
  name: 'greet',
  run: ({ user }: { user: number }, job) => `Hello, ${job.context.db.names.get(user)}!`,
})

const errand = createErrand({
  store: memory(),
  tasks: [greet],
  context: () => {
    console.log('db opened')
    return { db: new Db() }
  },
})

await errand.worker().start()
for (const user of [1, 2]) {
  const job = await errand.enqueue(greet, { user })
  console.log(await job.result())
}
await errand.close()

// Output:
// db opened
// Hello, Ada!
// Hello, Grace!
// db closed
