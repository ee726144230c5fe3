/** On SQLite, jobs can lie in the file of your own tables: both change together, or neither does. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { createErrand, task } from 'errand'
import { sqlite } from 'errand/sqlite'

const folder = await mkdtemp(join(tmpdir(), 'errand-example-'))
const file = join(folder, 'shop.db')
const db = new DatabaseSync(file)
db.exec('CREATE TABLE orders (id INTEGER PRIMARY KEY, state TEXT)')

const ship = task({
  name: 'ship',
  async run({ order }: { order: number }, job) {
    // `job.complete` ends the job in the transaction of these writes: they count once, whatever crashes.
    db.exec('BEGIN IMMEDIATE')
    try {
      db.prepare('UPDATE orders SET state = ? WHERE id = ?').run('shipped', order)
      await job.complete(db, undefined)
      db.exec('COMMIT')
    } catch (error) {
      db.exec('ROLLBACK')
      throw error
    }
  },
})

const errand = createErrand({ store: sqlite(file), tasks: [ship] })

async function placeOrder(order: number, isPaid: boolean): Promise<void> {
  db.exec('BEGIN IMMEDIATE')
  db.prepare('INSERT INTO orders VALUES (?, ?)').run(order, 'new')
  await errand.enqueue(ship, { order }, { tx: db })
  db.exec(isPaid ? 'COMMIT' : 'ROLLBACK')
}

await placeOrder(1, true)
await placeOrder(2, false)
const { jobs } = await errand.jobs.list()
console.log(
  'orders:',
  db.prepare('SELECT count(*) AS n FROM orders').get()?.['n'],
  'jobs:',
  jobs.length,
)

await errand.worker().start()
for (const { id } of jobs) await errand.jobs.result(id)
console.log('order 1:', db.prepare('SELECT state FROM orders WHERE id = 1').get()?.['state'])

// Without a transaction that was begun with BEGIN IMMEDIATE, nothing is stored.
await errand
  .enqueue(ship, { order: 1 }, { tx: db })
  .catch((error: { code: string }) => console.log(error.code))

await errand.close()
db.close()
await rm(folder, { recursive: true })

// Output:
// orders: 1 jobs: 1
// order 1: shipped
// tx-not-immediate
