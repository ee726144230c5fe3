import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import test from 'node:test'
import { findPostgres, query } from '../../../test/postgres-server.ts'
import { newJob } from '../../testing/conformance/jobs.ts'
import { postgres } from './index.ts'
import { inSchema } from './schema-name.ts'

const server = await findPostgres()

test('postgres: statements name the schema that they are for, and nothing else', () => {
  assert.equal(inSchema('SELECT errand.add($1)', 'errand'), 'SELECT errand.add($1)')
  assert.equal(
    inSchema(`SELECT errand.add(x) FROM errand.jobs WHERE myerrand.a = 1`, 'other'),
    `SELECT other.add(x) FROM other.jobs WHERE myerrand.a = 1`,
  )
})

if (server !== null) {
  const { url } = server
  test.after(() => server.stop())

  test('postgres: many processes that start at once make the schema once, and all go on', async () => {
    const program = `
      const { postgres } = await import(${JSON.stringify(import.meta.resolve('./index.ts'))})
      const { newJob } = await import(${JSON.stringify(import.meta.resolve('../../testing/conformance/jobs.ts'))})
      const store = postgres(${JSON.stringify(url)}, { schema: 'crowded' })
      await store.insert([newJob()])
      await store.close()`
    const codes = await Promise.all(
      Array.from({ length: 6 }, async () => {
        const child = spawn(
          process.execPath,
          ['--conditions=errand-source', '--input-type=module', '-e', program],
          {
            stdio: ['ignore', 'ignore', 'inherit'],
          },
        )
        const [code] = (await once(child, 'close')) as [number]
        return code
      }),
    )
    assert.deepEqual(codes, [0, 0, 0, 0, 0, 0])
    assert.deepEqual(
      await query(url, `SELECT value::int FROM crowded.meta WHERE name = 'schema'`),
      [{ value: 1 }],
    )
    assert.deepEqual(await query(url, 'SELECT count(*)::int AS jobs FROM crowded.jobs'), [
      { jobs: 6 },
    ])
    await query(url, 'DROP SCHEMA crowded CASCADE')
  })

  test('postgres: clients that find no schema at the same moment make it once', async () => {
    for (let round = 0; round < 5; round++) {
      const stores = Array.from({ length: 8 }, () => postgres(url, { schema: 'rushed' }))
      try {
        await Promise.all(stores.map((store) => store.setup()))
      } finally {
        await Promise.all(stores.map((store) => store.close()))
        await query(url, 'DROP SCHEMA IF EXISTS rushed CASCADE')
      }
    }
  })

  test('postgres: a migration that fails leaves nothing behind', async () => {
    await query(url, 'CREATE SCHEMA halfway; CREATE TABLE halfway.leases (x int)')
    const store = postgres(url, { schema: 'halfway' })
    await assert.rejects(store.setup())
    assert.deepEqual(
      await query(
        url,
        `SELECT relname FROM pg_class WHERE relnamespace = 'halfway'::regnamespace AND relkind = 'r'`,
      ),
      [{ relname: 'leases' }],
    )
    await query(url, 'DROP TABLE halfway.leases')
    await store.setup()
    await store.close()
    await query(url, 'DROP SCHEMA halfway CASCADE')
  })

  test('postgres: two schemas of one database know nothing of each other', async () => {
    const [one, two] = ['one', 'two'].map((schema) => postgres(url, { schema }))
    assert.ok(one && two)
    const job = newJob()
    await one.insert([job])
    assert.deepEqual(await two.get([job.id]), [null])
    await two.insert([job])
    await one.remove([job.id])
    assert.equal((await two.get([job.id]))[0]?.state, 'ready')
    for (const store of [one, two]) await store.close()
    await query(url, 'DROP SCHEMA one CASCADE; DROP SCHEMA two CASCADE')
  })
}
