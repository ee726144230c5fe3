import { after, describe, test } from 'node:test'
import { lockRules } from '../../testing/conformance/lock-rules.ts'
import { runRules } from '../../testing/conformance/harness.ts'
import { findEtcd } from '../../../test/lock-servers.ts'
import { etcdLocks } from './etcd.ts'

const service = await findEtcd()
if (service !== null) {
  after(() => service.stop())
  void describe('etcd', { concurrency: true }, () => {
    runRules({
      test: (name, run) => void test(name, run),
      harness: { open: async () => etcdLocks({ url: service.url }) },
      rules: lockRules,
    })
  })
}
