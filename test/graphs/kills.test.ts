/** The short form of `npm run graphs -- --kills`, on all stores at once: most of it is waiting for leases to end. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { groundNames, groundOf } from './grounds.ts'
import { prove } from './kills.ts'

const seed = String(Math.floor(Math.random() * 2 ** 32))

describe('workflows under kills', { concurrency: true }, () => {
  for (const name of groundNames) {
    test(`${name}: whatever kills workers, those who start runs and those who retry them, each node ends by its edges`, async () => {
      const ground = await groundOf(name)
      if (ground === null) return
      try {
        const plan = { seed, runs: 2, nodes: 30, crew: 2, strikes: 1, retries: false }
        const { wrong, kills, nodes } = await prove({ ...plan, store: ground.next() })
        assert.deepEqual(wrong, [], `seed ${seed}`)
        assert.ok(kills > 0 && nodes > 60)
      } finally {
        await ground.close()
      }
    })
  }
})
