import assert from 'node:assert/strict'
import test from 'node:test'
import pg from 'pg'
import { findPgBouncer, findPostgres, query } from '../../../test/postgres-server.ts'
import { Deadline } from './connection.ts'
import { Database } from './database.ts'
import { Hints } from './hints.ts'
import { migrate } from './schema.ts'
import { postgres } from './index.ts'
import { OwnConnections } from './own-connections.ts'
import { warningsOf } from './warnings.ts'

const server = await findPostgres()
const schema = 'warned_jobs'

if (server !== null) {
  const { url } = server
  const pooler = await findPgBouncer(url)
  test.after(async () => {
    await query(url, `DROP SCHEMA IF EXISTS ${schema} CASCADE`)
    await pooler?.stop()
    await server.stop()
  })

  test('postgres: a transaction that has been open for long is warned of, and no other', async () => {
    const deadline = new Deadline(5_000, 'here')
    const source = new OwnConnections({ connectionString: url }, 2, deadline)
    const parts = { source, listening: source, schema, location: 'here', prepare: true, deadline }
    const db = new Database(parts, new Hints(), migrate)
    const other = new pg.Client(url)
    await other.connect()
    await other.query('BEGIN ISOLATION LEVEL REPEATABLE READ')
    const { rows } = await other.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
    const open = async (oldMinutes: number): Promise<boolean> => {
      const found = await warningsOf(db, source, { oldMinutes })
      return found.some(({ text }) => text.includes(`pid ${rows[0]?.pid}`))
    }
    assert.equal(await open(0), true)
    assert.equal(await open(5), false)
    await other.query('ROLLBACK')
    assert.equal(await open(0), false)
    await other.end()
    await db.close()
  })

  test(
    'postgres: through a pooler notifications do not arrive, unless the server itself is named',
    { skip: pooler === null },
    async () => {
      const through = pooler?.url ?? ''
      const deaf = postgres(through, { schema, prepare: false })
      const hearing = postgres(through, { schema, prepare: false, listen: url })
      const isDeaf = async (store: typeof deaf): Promise<boolean> =>
        (await store.warnings('try')).some(({ text }) =>
          text.includes('notifications do not arrive'),
        )
      assert.equal(await isDeaf(deaf), true)
      assert.equal(await isDeaf(hearing), false)
      await deaf.close()
      await hearing.close()
    },
  )
}
