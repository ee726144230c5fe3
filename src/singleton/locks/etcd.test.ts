import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, describe, test } from 'node:test'
import { lockRules } from '../../testing/conformance/lock-rules.ts'
import { runRules } from '../../testing/conformance/harness.ts'
import { findEtcd } from '../../../test/lock-servers.ts'
import { etcdLocks } from './etcd.ts'

const service = await findEtcd()
if (service !== null) {
  after(() => service.stop())

  test('no lease is left behind by a release, nor by who asked in vain', async (t) => {
    const [a, b] = [etcdLocks({ url: service.url }), etcdLocks({ url: service.url })]
    t.after(() => Promise.all([a.close(), b.close()]))
    const leases = async (): Promise<number> => {
      const answer = await fetch(new URL('/v3/lease/leases', service.url), {
        method: 'POST',
        body: '{}',
      })
      return ((await answer.json()) as { readonly leases?: readonly unknown[] }).leases?.length ?? 0
    }
    const before = await leases()
    const request = { name: 'tidy', token: null, ttlMs: 60_000, host: 'here', pid: 1 }
    const mine = { ...request, holder: randomUUID() }
    const theirs = { ...request, holder: randomUUID() }
    const taken = await Promise.all([a.hold(mine), b.hold(theirs)])
    assert.deepEqual(taken.map(({ status }) => status).toSorted(), ['held', 'taken'])
    assert.equal(await leases(), before + 1)
    for (const [i, answer] of taken.entries()) {
      if (answer.status === 'taken') continue
      const [locks, holding] = i === 0 ? [a, mine] : [b, theirs]
      assert.equal(await locks.release({ ...holding, token: answer.token }), 'released')
    }
    assert.equal(await leases(), before)
  })

  void describe('etcd', { concurrency: true }, () => {
    runRules({
      test: (name, run) => void test(name, run),
      harness: { open: async () => etcdLocks({ url: service.url }) },
      rules: lockRules,
    })
  })
}
