/** Inserts of jobs whose needs are ending meanwhile, in a transaction that takes longer than an insert looks. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { findPostgres, query } from '../../../test/postgres-server.ts'
import type { Store } from '../../store/store.ts'
import { newJob } from '../../testing/conformance/jobs.ts'
import { postgres } from './index.ts'

const server = await findPostgres()
const schema = 'doubted_jobs'

/** How long the commit of an end takes: longer than all looks of an insert. */
const commitMs = 2_000

const ends: Readonly<Record<string, (store: Store, ids: readonly string[]) => Promise<unknown>>> = {
  remove: (store, ids) => store.remove(ids),
  cancel: (store, ids) => store.cancel(ids, null),
}

if (server !== null) {
  const { url } = server
  const [store, other] = [postgres(url, { schema }), postgres(url, { schema })]
  test.after(async () => {
    await Promise.all([store.close(), other.close()])
    await query(url, `DROP SCHEMA ${schema} CASCADE`)
    await server.stop()
  })

  for (const [name, end] of Object.entries(ends)) {
    for (const [onFailed, state] of [
      ['cancel', 'cancelled'],
      ['run', 'ready'],
    ] as const) {
      test(`postgres: a job inserted while a slow ${name} ends what it needs is ${state} when both have been answered`, async () => {
        const need = newJob()
        await store.insert([need])
        await query(
          url,
          `CREATE OR REPLACE FUNCTION ${schema}.slowly() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN PERFORM pg_sleep(${commitMs / 1_000}); RETURN NULL; END $$;
          CREATE CONSTRAINT TRIGGER slow AFTER DELETE ON ${schema}.ready DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION ${schema}.slowly()`,
        )
        const job = newJob({ needs: [{ kind: 'job', id: need.id, onFailed }] })
        const ending = end(other, [need.id])
        await untilSleeping(url)
        await store.insert([job])
        assert.equal((await store.get([job.id]))[0]?.state, 'blocked')
        await ending
        assert.equal((await store.get([job.id]))[0]?.state, state)
        await query(url, `DROP TRIGGER slow ON ${schema}.ready`)
        await store.remove([job.id])
      })
    }
  }
}

/** Resolves when a transaction has come to its commit. */
async function untilSleeping(url: string): Promise<void> {
  const isSleeping = `SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND query LIKE '%${schema}%'`
  for (const until = performance.now() + 10_000; ;) {
    if ((await query(url, isSleeping)).length > 0) return
    assert.ok(performance.now() < until, 'no commit is under way')
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
