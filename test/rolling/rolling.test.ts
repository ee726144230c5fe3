/** The short form of `npm run rolling`. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { prove } from './proof.ts'

test(
  'processes under load are restarted by SIGTERM, SIGUSR2 and SIGKILL: every job is accepted once, and the first two cost no attempt',
  { timeout: 300_000 },
  async () => {
    const result = await prove({
      store: 'sqlite:',
      processes: 3,
      rounds: ['SIGTERM', 'SIGUSR2', 'SIGKILL'],
      load: 2,
    })
    assert.deepEqual(result.wrong, [])
    assert.equal(result.started, 12)
    assert.ok(result.jobs > 50 && result.runs >= result.jobs)
  },
)
