import test from 'node:test'
import { byConnection } from '../../../test/full.ts'
import { postgresHarness } from '../../../test/postgres-harness.ts'
import { findPostgres } from '../../../test/postgres-server.ts'
import { heldRules, raceRules, runRules, storeRules } from '../../testing/conformance/index.ts'

const server = await findPostgres()
if (server !== null) {
  const harness = await postgresHarness(server.url)
  test.after(async () => {
    await harness.close()
    await server.stop()
  })
  const { own, shared } = byConnection([...storeRules, ...raceRules])
  runRules({ test, harness, rules: own })
  runRules({ test, harness: harness.onPool, rules: shared })
  runRules({ test, harness, rules: heldRules })
}
