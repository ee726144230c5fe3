import assert from 'node:assert/strict'
import { test } from 'node:test'
import { App } from '../app/app.ts'
import { Client, leased } from '../client/client.ts'
import { task, type AnyTask } from '../core/task.ts'
import { memory, MemoryDatabase } from '../stores/memory/index.ts'
import { VirtualClock } from '../testing/virtual-clock.ts'
import { runnerHere } from './run-here.ts'
import type { AbortCause, Running } from './runner.ts'

/** Runs a task behind a port through which only what can be copied to another thread comes. */
async function run(one: AnyTask, input: unknown, aborted: AbortCause | null = null) {
  const store = memory({ clock: new VirtualClock(), database: new MemoryDatabase() })
  const app = new App({ store, tasks: [one] }, process.cwd())
  const client = new Client(app)
  const job = leased(await client.prepare(one, input), 1, store.clock.now())
  const said: unknown[] = []
  const say = (...message: readonly unknown[]): void => void said.push(structuredClone(message))
  const context = { db: () => 'here' }
  const ticks = (): number => store.clock.now()
  const here = { app, client, context, ticks, isolated: null, broken: null }
  const running: Running = runnerHere(here).run(
    {
      job: structuredClone(job),
      definition: one.definition,
      timeoutMs: null,
      endsAt: Infinity,
      aborted,
    },
    {
      progress: (json) => say('progress', json),
      log: (level, text) => say('log', level, text),
      enqueue: (made) => say('enqueue', made.task, made.input, made.parent === job.id),
      call: () => assert.fail('no call is made'),
      complete: async (_tx, { output }) => say('complete', output),
    },
  )
  return { running, said }
}

test('all that a handler says to its worker is plain data, in order', async () => {
  const talks = task({
    name: 'talks',
    run: async (input: { n: number }, job) => {
      job.log.info('begins', { n: input.n })
      job.progress({ at: 0.5 })
      await job.enqueue('talks', { n: 2 })
      await job.complete({ query: () => undefined }, { sum: 3 })
    },
  })
  const { running, said } = await run(talks, { n: 1 })
  const ended = await running.ended
  assert.deepEqual(said, [
    ['log', 'info', 'begins {"n":1}'],
    ['progress', '{"at":0.5}'],
    ['enqueue', 'talks', '{"n":2}', true],
    ['complete', '{"sum":3}'],
  ])
  assert.deepEqual(structuredClone(ended), {
    outcome: { kind: 'completed' },
    output: '{"sum":3}',
    value: { sum: 3 },
  })
})

test('the first cause of an abort decides what the end counts as, also one from before the beginning', async () => {
  const waits = task({
    name: 'waits',
    run: (_input: undefined, job) =>
      new Promise((_resolve, reject) => {
        if (job.signal.aborted) reject(job.signal.reason)
        job.signal.addEventListener('abort', () => reject(job.signal.reason))
      }),
  })
  const { running } = await run(waits, undefined)
  running.abort('cancelled')
  running.abort('interrupted')
  assert.deepEqual((await running.ended).outcome, { kind: 'cancelled' })

  const before = await run(waits, undefined, 'interrupted')
  before.running.abort('cancelled')
  assert.deepEqual((await before.running.ended).outcome, { kind: 'interrupted' })
})

test('a handler that has ended says nothing more by enqueue', async () => {
  let later: () => Promise<unknown> = () => assert.fail('it never ran')
  const quick = task({
    name: 'quick',
    run: (_input: undefined, job) => void (later = () => job.enqueue('quick')),
  })
  const { running, said } = await run(quick, undefined)
  await running.ended
  await assert.rejects(later(), { code: 'lease-lost' })
  assert.deepEqual(said, [])
})
