/** The short form of `npm run storm`. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { prove } from './proof.ts'
import { canStartRabbitmq } from '../rabbitmq-server.ts'
import { start as startRabbitmq } from './rabbitmq.ts'
import { start as startSqs } from './sqs.ts'

/** Of a busy machine. */
const patienceMs = 240_000

test('sqs: however often consumers die, each message is exactly one job', async () => {
  const broker = await startSqs()
  try {
    const { wrong, kills } = await prove(broker, { messages: 3_000, lifeMs: 700, patienceMs })
    assert.deepEqual(wrong, [])
    assert.ok(kills > 1)
  } finally {
    await broker.stop()
  }
})

if (canStartRabbitmq()) {
  test('RabbitMQ: whatever dies, each message is exactly one job', async () => {
    const broker = await startRabbitmq(1)
    try {
      const { wrong, kills } = await prove(broker, {
        messages: 4_000,
        lifeMs: 300,
        spreadMs: 4_000,
        patienceMs,
      })
      assert.deepEqual(wrong, [])
      assert.ok(kills > 1)
    } finally {
      await broker.stop()
    }
  })
}
