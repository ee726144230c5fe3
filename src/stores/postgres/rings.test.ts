/**
 * Calls that wait for each other in a ring. A server ends such a ring after a second, and the store repeats the call: all that is seen of it
 * is a call that takes long. So does one that meets a row which seems held, and is sent again. So this server has more patience than any
 * call, which then fails.
 */
import assert from 'node:assert/strict'
import test from 'node:test'
import { postgresHarness } from '../../../test/postgres-harness.ts'
import { canStartPostgres, query, startPostgres } from '../../../test/postgres-server.ts'
import { raceRules, runRules } from '../../testing/conformance/index.ts'
import { claimOf, newJob, unique } from '../../testing/conformance/jobs.ts'

const ringless = [
  'unique against unique',
  'inserts of the same keys',
  'claim against sweep of an overdue job',
  'replace against sweep of an overdue job',
  'a renewal beside notes of the same jobs',
  'a settlement beside notes of the same jobs',
  'remove against the insert of a job that needs the removed ones',
  'two cancels of the same running jobs',
  'two operators at the same jobs',
  'many clients advance many records',
  'a record of a run against the rescue of its job',
]

if (canStartPostgres()) {
  const server = await startPostgres({ deadlock_timeout: '1min' })
  const harness = await postgresHarness(server.url, { callDeadlineMs: 5_000 })
  await query(
    server.url,
    `CREATE OR REPLACE FUNCTION ${harness.schema}.call_patience() RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT '60000' $$`,
  )
  test.after(async () => {
    await harness.close()
    await server.stop()
  })
  const rules = raceRules.filter(({ name }) => ringless.some((start) => name.startsWith(start)))
  assert.equal(rules.length, ringless.length)
  runRules({ test, harness, rules })

  test('postgres: writes of the same records wait for each other in no ring, whatever their order, nor do advances', async () => {
    const place = await harness.create()
    const clients = [place.store, await place.another()]
    const keys = Array.from({ length: 40 }, (_, at) => `k${at}`)
    for (let round = 0; round < 20; round += 1) {
      const [writer, advancer] = round % 2 === 0 ? clients : clients.toReversed()
      const jobs = keys.map(() => newJob())
      const advance = jobs.map(({ id }, at) => ({
        key: keys[at]!,
        from: null,
        to: '1',
        jobs: [id],
      }))
      await Promise.all([
        writer!.putRecords(keys.toReversed().map((key) => ({ key, text: '2' }))),
        advancer!.insert(jobs, { advance: advance.toReversed() }),
        writer!.putRecords(keys.map((key) => ({ key, text: null }))),
      ])
      await place.store.putRecords(keys.map((key) => ({ key, text: null })))
    }
    await place.dispose()
  })

  test('postgres: jobs of one insert are claimed in its order, in whatever order their keys are taken', async () => {
    const place = await harness.create()
    const { store } = place
    const keys = ['c', 'a', null, 'b']
    const jobs = keys.map((key) => newJob({ unique: key === null ? null : unique(key) }))
    const statuses = (await store.insert(jobs)).map(({ id, status }) => [id, status])
    assert.deepEqual(
      statuses,
      jobs.map(({ id }) => [id, 'created']),
    )
    const { jobs: claimed } = await store.claim(claimOf({ others: 9, limit: 9 }))
    assert.deepEqual(
      claimed.map(({ id }) => id),
      jobs.map(({ id }) => id),
    )
    await place.dispose()
  })

  test('postgres: of a job that an insert names twice the first counts, with a key or without', async () => {
    const place = await harness.create()
    const { store } = place
    const [plain, keyed] = [newJob(), newJob({ unique: unique('k') })]
    await store.insert([plain, { ...plain, unique: unique('other') }])
    await store.insert([keyed, { ...keyed, unique: null }])
    const found = await store.get([plain.id, keyed.id])
    assert.deepEqual(
      found.map((job) => job?.uniqueKey),
      [null, 'k'],
    )
    await place.dispose()
  })
}
