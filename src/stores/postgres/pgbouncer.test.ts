import test from 'node:test'
import { postgresHarness } from '../../../test/postgres-harness.ts'
import { findPgBouncer, findPostgres } from '../../../test/postgres-server.ts'
import { raceRules, runRules, storeRules } from '../../testing/conformance/index.ts'
import { fewOfEach } from '../../../test/full.ts'

const server = await findPostgres()
const pooler = server === null ? null : await findPgBouncer(server.url)
if (server !== null && pooler !== null) {
  const harness = await postgresHarness(server.url, {
    through: pooler.url,
    prepare: false,
    listen: server.url,
  })
  test.after(async () => {
    await harness.close()
    await pooler.stop()
    await server.stop()
  })
  // What may differ is what a session keeps: prepared statements, settings, locks, listening.
  const rules = fewOfEach([...storeRules, ...raceRules], 4, 'claim', 'races', 'watch', 'tend')
  runRules({ test, harness, rules })
}
