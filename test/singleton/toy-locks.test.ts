import { describe, test } from 'node:test'
import { runRules } from '../../src/testing/conformance/harness.ts'
import { lockRules } from '../../src/testing/conformance/lock-rules.ts'
import { toyLocks, ToyServer } from './toy-locks.ts'

const server = new ToyServer()
void describe('toy locks', { concurrency: true }, () => {
  runRules({
    test: (name, run) => void test(name, run),
    harness: { open: async () => toyLocks(server) },
    rules: lockRules,
  })
})
