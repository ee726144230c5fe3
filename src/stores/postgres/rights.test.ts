import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { findPostgres, query } from '../../../test/postgres-server.ts'
import type { Store } from '../../store/store.ts'
import { claimOf, finish, newJob } from '../../testing/conformance/jobs.ts'
import { postgres } from './index.ts'

const server = await findPostgres()
const docs = join(import.meta.dirname, '../../../docs/postgresql.md')

if (server !== null) {
  const { url } = server
  test.after(() => server.stop())
  const storeOn = (t: TestContext, schema: string, user?: string): Store => {
    const own = new URL(url)
    if (user !== undefined) [own.username, own.password] = [user, 'pw']
    const store = postgres(own.href, { schema })
    t.after(() => store.close())
    return store
  }

  test('postgres: a role with the documented rights may do all, also where EXECUTE is revoked from PUBLIC; one without is told which', async (t) => {
    const schema = 'rights_jobs'
    await query(
      url,
      `DROP SCHEMA IF EXISTS ${schema} CASCADE; DROP ROLE IF EXISTS rights_app;
       CREATE ROLE rights_app LOGIN PASSWORD 'pw';
       ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC`,
    )
    t.after(() =>
      query(
        url,
        `ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO PUBLIC; DROP SCHEMA ${schema} CASCADE;
         DROP OWNED BY rights_app; DROP ROLE rights_app`,
      ),
    )
    await storeOn(t, schema).setup()
    const poor = storeOn(t, schema, 'rights_app')
    const grants = readFileSync(docs, 'utf8').match(/^GRANT .*;$/gm) ?? []
    assert.equal(grants.length, 3)
    for (const grant of grants) {
      await assert.rejects(poor.insert([newJob()]), {
        code: 'store-unavailable',
        message: /permission denied for (?:schema|table|sequence) .*grant it USAGE .*USAGE and UPDATE on its sequences/,
      })
      await query(
        url,
        grant.replace('SCHEMA errand', `SCHEMA ${schema}`).replace('app', 'rights_app'),
      )
    }
    await poor.insert([newJob()])
    const { jobs } = await poor.claim(claimOf())
    assert.deepEqual(await poor.settle(jobs.map((job) => finish(job))), ['settled'])
  })

  test('postgres: a schema that is gone, or emptied, is told in words and not in SQLSTATEs', async (t) => {
    const schema = 'rights_wiped'
    await query(url, `DROP SCHEMA IF EXISTS ${schema} CASCADE`)
    t.after(() => query(url, `DROP SCHEMA IF EXISTS ${schema} CASCADE`))
    const store = storeOn(t, schema)
    await store.insert([newJob()])
    await query(url, `TRUNCATE ${schema}.meta`)
    await assert.rejects(storeOn(t, schema).setup(), {
      code: 'store-corrupt',
      message: /emptied.*drop the schema to begin anew/,
    })
    await query(url, `DROP SCHEMA ${schema} CASCADE`)
    for (const call of [() => store.insert([newJob()]), () => store.queues()]) {
      await assert.rejects(call, { code: 'store-corrupt', message: /are missing.*makes it anew/ })
    }
    await query(url, `CREATE SCHEMA ${schema}; CREATE TABLE ${schema}.jobs (id int)`)
    await assert.rejects(storeOn(t, schema).setup(), {
      code: 'store-corrupt',
      message: /other tables or functions.*choose another schema/,
    })
  })
}
