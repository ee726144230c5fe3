import { after, test } from 'node:test'
import { raceRules, runRules, storeRules } from '../../testing/conformance/index.ts'
import { startRedis } from '../../../test/redis-server.ts'
import { redisHarness } from '../../../test/redis-harness.ts'

const server = await startRedis()
after(() => server.stop())

const harness = redisHarness([server.url])

runRules({ test, harness, rules: [...storeRules, ...raceRules] })
