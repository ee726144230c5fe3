/**
 * Calls that wait for each other in a ring. A server ends such a ring after a second, and the store repeats the call: all that is seen of it
 * is a call that takes long. So this server has more patience than any call, which then fails.
 */
import assert from 'node:assert/strict'
import test from 'node:test'
import { postgresHarness } from '../../../test/postgres-harness.ts'
import { canStartPostgres, startPostgres } from '../../../test/postgres-server.ts'
import { raceRules, runRules } from '../../testing/conformance/index.ts'

const ringless = [
  'unique against unique',
  'inserts of the same keys',
  'claim against sweep of an overdue job',
  'a renewal beside notes of the same jobs',
  'a settlement beside notes of the same jobs',
]

if (canStartPostgres()) {
  const server = await startPostgres({ deadlock_timeout: '1min' })
  const harness = await postgresHarness(server.url)
  test.after(async () => {
    await harness.close()
    await server.stop()
  })
  const rules = raceRules.filter(({ name }) => ringless.some((start) => name.startsWith(start)))
  assert.equal(rules.length, ringless.length)
  runRules({ test, harness, rules })
}
