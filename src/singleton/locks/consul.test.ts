import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, describe, test } from 'node:test'
import { lockRules } from '../../testing/conformance/lock-rules.ts'
import { runRules } from '../../testing/conformance/harness.ts'
import { findConsul } from '../../../test/lock-servers.ts'
import { consulLocks } from './consul.ts'

test('a key that no name makes good is refused when the locks are made', () => {
  for (const key of ['', '/errand/{name}'])
    assert.throws(() => consulLocks({ key }), { code: 'invalid-option', message: /key of Consul/ })
})

const service = await findConsul()
if (service !== null) {
  after(() => service.stop())

  test('no session is left behind by a release, nor by who asked in vain', async (t) => {
    const [a, b] = [consulLocks({ url: service.url }), consulLocks({ url: service.url })]
    t.after(() => Promise.all([a.close(), b.close()]))
    const sessions = async (): Promise<number> => {
      const answer = await fetch(new URL('/v1/session/list?consistent', service.url))
      const all = (await answer.json()) as readonly { readonly Name: string }[]
      return all.filter(({ Name }) => Name === 'errand tidy').length
    }
    const request = { name: 'tidy', token: null, ttlMs: a.leastTtlMs, host: 'here', pid: 1 }
    const mine = { ...request, holder: randomUUID() }
    const theirs = { ...request, holder: randomUUID() }
    const taken = await Promise.all([a.hold(mine), b.hold(theirs)])
    assert.equal(await sessions(), taken.filter(({ status }) => status === 'held').length)
    for (const [i, answer] of taken.entries()) {
      if (answer.status === 'taken') continue
      const [locks, holding] = i === 0 ? [a, mine] : [b, theirs]
      assert.equal(await locks.release({ ...holding, token: answer.token }), 'released')
    }
    assert.equal(await sessions(), 0)
  })

  void describe('consul', { concurrency: true }, () => {
    runRules({
      test: (name, run) => void test(name, run),
      harness: { open: async () => consulLocks({ url: service.url }), lateMs: 3_000 },
      rules: lockRules,
    })
  })
}
