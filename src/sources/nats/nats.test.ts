import assert from 'node:assert/strict'
import { after, describe, test, type TestContext } from 'node:test'
import { jetstream, jetstreamManager, AckPolicy, type JetStreamManager } from '@nats-io/jetstream'
import { connect, nanos, type NatsConnection } from '@nats-io/transport-node'
import { isErrandError } from '../../core/errors.ts'
import { task } from '../../core/task.ts'
import { createErrand, type Errand } from '../../errand.ts'
import { memory } from '../../stores/memory/index.ts'
import { startNats } from '../../../test/nats-server.ts'
import { nats, type NatsOptions } from './index.ts'

const server = await startNats()
after(() => server?.stop())

const patienceMs = 30_000
const servers = { servers: server?.url ?? '' }
const add = task<{ a: number }, number>({ name: 'add', run: ({ a }) => a })

async function managed<T>(
  act: (manager: JetStreamManager, connection: NatsConnection) => Promise<T>,
): Promise<T> {
  const connection = await connect(servers)
  try {
    return await act(await jetstreamManager(connection), connection)
  } finally {
    await connection.close()
  }
}

const made = (stream: string): Promise<unknown> =>
  managed((manager) => manager.streams.add({ name: stream, subjects: [`${stream}.>`] }))

const send = (stream: string, from: number, to: number): Promise<void> =>
  managed(async (_manager, connection) => {
    for (let a = from; a < to; a++)
      await jetstream(connection).publish(`${stream}.x`, `{"name":"add","input":{"a":${a}}}`)
  })

function started(t: TestContext, options: NatsOptions): Errand {
  const source = nats({ client: servers, ackWait: '2s', ...options })
  const errand = createErrand({ store: memory(), tasks: [add], sources: [source] })
  t.after(() => errand.close())
  errand.sources.start()
  return errand
}

async function numbers(errand: Errand, count: number): Promise<void> {
  const endsAt = performance.now() + patienceMs
  for (;;) {
    const { jobs } = await errand.jobs.list({ limit: 1_000 })
    if (jobs.length === count) {
      const all = new Set(jobs.map(({ input }) => (input as { a: number }).a))
      return assert.equal(all.size, count)
    }
    assert.ok(performance.now() < endsAt, `${jobs.length} of ${count} jobs`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

describe('jobs from NATS JetStream', { skip: server === null }, () => {
  test('come from a stream, whatever becomes of the server', async (t) => {
    await made('killed')
    await send('killed', 0, 100)
    const errand = started(t, { stream: 'killed' })
    await numbers(errand, 100)
    await server!.kill()
    await server!.start()
    await send('killed', 100, 150)
    await numbers(errand, 150)
  })

  test('are one for each message of a stream, also of a new one of the same name', async (t) => {
    await made('again')
    await send('again', 0, 3)
    const errand = started(t, { stream: 'again' })
    await numbers(errand, 3)
    await managed((manager) => manager.streams.delete('again'))
    await made('again')
    await send('again', 3, 6)
    await numbers(errand, 6)
  })

  test('come through a consumer that is there, as it is', async (t) => {
    await made('ready')
    const config = { durable_name: 'own', ack_policy: AckPolicy.Explicit, ack_wait: nanos(1_000) }
    await managed((manager) =>
      manager.consumers.add('ready', { ...config, filter_subject: 'ready.wanted' }),
    )
    await send('ready', 0, 3)
    const source = nats({ stream: 'ready', consumer: 'own', client: servers })
    const connection = await source.connect(AbortSignal.timeout(patienceMs))
    t.after(() => connection.close())
    await managed((_manager, connection) => jetstream(connection).publish('ready.wanted', 'x'))
    const room = { messages: 10, bytes: 1_000_000 }
    const [message] = await connection.pull(room, AbortSignal.timeout(patienceMs))
    assert.equal(Buffer.from(message!.body).toString(), 'x')
    // It is held for longer than the consumer waits.
    await new Promise((resolve) => setTimeout(resolve, 2_500))
    assert.deepEqual(await connection.pull(room, AbortSignal.timeout(500)), [])
    const other = await source.connect(AbortSignal.timeout(patienceMs))
    t.after(() => other.close())
    assert.deepEqual(await other.pull(room, AbortSignal.timeout(500)), [])
    await connection.acknowledge([message!])
  })

  test('need a stream that is there, and a server', async () => {
    const connecting = (options: Partial<NatsOptions>) =>
      nats({ stream: 'nowhere', client: servers, ...options }).connect(
        AbortSignal.timeout(patienceMs),
      )
    await assert.rejects(connecting({}), (error) => {
      assert.ok(isErrandError(error, 'server-refused'))
      assert.match(error.message, /^JetStream stream nowhere: stream not found/)
      return true
    })
    await assert.rejects(connecting({ client: { servers: 'nats://127.0.0.1:1' } }), (error) =>
      isErrandError(error, 'server-unavailable'),
    )
  })

  test('refuse options that cannot work', () => {
    for (const [options, why] of [
      [{}, /nats\(\)\.stream must be a text/],
      [{ stream: 'a.b' }, /a name without spaces, dots/],
      [{ stream: 'a', consumer: '*' }, /nats\(\)\.consumer must be/],
      [{ stream: 'a', ackWait: 5 }, /a duration from 1 s to 12 h/],
      [{ stream: 'a', subject: 'x' }, /has no option subject/],
      [{ stream: 'a', client: 'nats://me:secret@host' }, /nats\(\)\.client must be an object/],
    ] as const) {
      assert.throws(
        () => nats(options as unknown as NatsOptions),
        (error) => {
          assert.ok(isErrandError(error, 'invalid-option'), String(error))
          assert.match(error.message, why)
          assert.ok(!error.message.includes('secret'))
          return true
        },
      )
    }
  })
})
