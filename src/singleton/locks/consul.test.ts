import { after, describe, test } from 'node:test'
import { lockRules } from '../../testing/conformance/lock-rules.ts'
import { runRules } from '../../testing/conformance/harness.ts'
import { findConsul } from '../../../test/lock-servers.ts'
import { consulLocks } from './consul.ts'

const service = await findConsul()
if (service !== null) {
  after(() => service.stop())
  void describe('consul', { concurrency: true }, () => {
    runRules({
      test: (name, run) => void test(name, run),
      harness: { open: async () => consulLocks({ url: service.url }), lateMs: 3_000 },
      rules: lockRules,
    })
  })
}
