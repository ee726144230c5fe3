/** What a worker tells of its store. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createErrand } from 'errand'
import { redis } from 'errand/redis'
import { canStartRedis, startRedis } from '../redis-server.ts'

if (canStartRedis()) {
  test('a worker warns of a Redis that evicts jobs and keeps nothing, soon after its start', async (t) => {
    const server = await startRedis('--maxmemory', '50mb', '--maxmemory-policy', 'allkeys-lru')
    t.after(() => server.stop())
    const errand = createErrand({ store: redis(server.url) })
    t.after(() => errand.close())
    const told: string[] = []
    const both = new Promise<void>((resolve) =>
      errand.on('warning', ({ code, message }) => {
        if (code !== 'store-at-risk') return
        told.push(message)
        if (told.length >= 2) resolve()
      }),
    )
    await errand.worker().start()
    await both
    assert.ok(told.some((message) => message.includes('allkeys-lru')))
    assert.ok(told.some((message) => message.includes('keeps nothing on disk')))
  })
}
