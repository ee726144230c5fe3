import { after, test } from 'node:test'
import { raceRules, runRules, storeRules } from '../../testing/conformance/index.ts'
import { findRedis } from '../../../test/redis-server.ts'
import { redisHarness } from '../../../test/redis-harness.ts'

const server = await findRedis()
if (server !== null) {
  after(() => server.stop())
  runRules({ test, harness: redisHarness([server.url]), rules: [...storeRules, ...raceRules] })
}
