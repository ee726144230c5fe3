/** The short form of `npm run ticks`: each store for some seconds. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { randomOf } from '../chaos/random.ts'
import { isFull } from '../full.ts'
import { canStartPostgres } from '../postgres-server.ts'
import { canStartRedis } from '../redis-server.ts'
import { place } from './places.ts'
import { fireUnderKills } from './run.ts'

const stores = [
  'sqlite',
  ...(canStartPostgres() ? ['postgres'] : []),
  ...(canStartRedis() ? ['redis'] : []),
]

for (const store of stores)
  test(`each tick gives one job while processes are killed: ${store}`, async () => {
    const seed = `${store}-${Date.now()}`
    const { url, close } = await place(store)
    try {
      const { wrong, ticks, kills } = await fireUnderKills({
        url,
        processes: 3,
        schedules: 40,
        durationMs: isFull ? 60_000 : 5_000,
        killEveryMs: 1_500,
        random: randomOf(seed),
      })
      assert.deepEqual(wrong, [], `seed ${seed}`)
      assert.ok(ticks > 20 && kills > 0, `${ticks} ticks, ${kills} kills`)
    } finally {
      await close()
    }
  })
