/** On PostgreSQL, a job exists if your transaction commits, and can end in the transaction of its own writes. */
// Needs: postgres
import pg from 'pg'
import { createErrand, task } from 'errand'
import { postgres } from 'errand/postgres'

const url = process.env['DATABASE_URL'] ?? 'postgres://postgres@127.0.0.1:5432/postgres'
const pool = new pg.Pool({ connectionString: url })
await pool.query('CREATE TABLE invoices (id int PRIMARY KEY, paid boolean NOT NULL DEFAULT false)')

const collect = task({
  name: 'invoices.collect',
  async run({ id }: { id: number }, job) {
    // Both count, or neither does: a crash between them cannot come.
    await inTransaction(async (client) => {
      await client.query('UPDATE invoices SET paid = true WHERE id = $1', [id])
      await job.complete(client, undefined)
    })
  },
})

const errand = createErrand({ store: postgres(url, { schema: 'invoicing' }), tasks: [collect] })

async function inTransaction(work: (client: pg.PoolClient) => Promise<void>): Promise<void> {
  const client = await pool.connect()
  try {
    await client.query('BEGIN')
    await work(client)
    await client.query('COMMIT')
  } catch (error) {
    await client.query('ROLLBACK')
    throw error
  } finally {
    client.release()
  }
}

async function issue(id: number, isValid: boolean): Promise<void> {
  await inTransaction(async (client) => {
    await client.query('INSERT INTO invoices (id) VALUES ($1)', [id])
    await errand.enqueue(collect, { id }, { tx: client })
    if (!isValid) throw new Error('not valid after all')
  })
}

await issue(1, true)
await issue(2, false).catch((error: Error) => console.log('invoice 2:', error.message))
const { jobs } = await errand.jobs.list()
console.log('jobs:', jobs.length)

await errand.worker().start()
for (const { id } of jobs) await errand.jobs.result(id)
console.log('paid:', (await pool.query('SELECT id FROM invoices WHERE paid')).rows)

// A pool would run each statement in a transaction of its own.
await errand
  .enqueue(collect, { id: 1 }, { tx: pool })
  .catch((error: { code: string }) => console.log(error.code))

await errand.close()
await pool.end()

// Output:
// invoice 2: not valid after all
// jobs: 1
// paid: [ { id: 1 } ]
// tx-unsupported
