import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as z from 'zod'
import { task } from '../../src/core/task.ts'
import { inMemory } from './harness.ts'

test('an input that may be left out reaches the handler as undefined, one that may be null as null', async (t) => {
  const seen: unknown[] = []
  const optional = task({
    name: 'optional',
    input: z.string().optional(),
    run: (input) => void seen.push(input),
  })
  const nullable = task({
    name: 'nullable',
    input: z.string().nullable(),
    run: (input) => void seen.push(input),
  })
  const bench = inMemory(t, { tasks: [optional, nullable] })
  await bench.work({ slots: 1 })
  await bench.reach((await bench.client.enqueue(optional, undefined)).id, 'completed')
  await bench.reach((await bench.client.enqueue(nullable, null)).id, 'completed')
  assert.deepEqual(seen, [undefined, null])
})

test('null where the schema takes neither null nor nothing fails at once, with the reason for null', async (t) => {
  const strict = task({ name: 'strict', input: z.string(), run: () => undefined })
  const bench = inMemory(t, { tasks: [strict] })
  const anything = task({ name: 'strict' })
  const { id } = await bench.client.enqueue(anything, undefined)
  await bench.work()
  const failed = await bench.reach(id, 'failed')
  assert.equal(failed.reason, 'invalid-input')
  assert.match(failed.errors[0]?.message ?? '', /null/)
})

test('a handler that enqueues by name is checked like any producer', async (t) => {
  const child = task({ name: 'child', input: z.object({ n: z.number() }), run: () => undefined })
  const refused: string[] = []
  const parent = task({
    name: 'parent',
    async run(_: undefined, job) {
      for (const [name, input] of [
        ['chidl', { n: 1 }],
        ['child', { n: 'one' }],
      ] as const) {
        await job.enqueue(name, input).catch((error: Error) => refused.push(error.message))
      }
      return job.enqueue('child', { n: 1 })
    },
  })
  const bench = inMemory(t, { tasks: [parent, child] })
  await bench.work()
  const { output } = await bench.reach(
    (await bench.client.enqueue(parent, undefined)).id,
    'completed',
  )
  await bench.reach(String(output), 'completed')
  assert.match(refused[0] ?? '', /Did you mean child/)
  assert.match(refused[1] ?? '', /n: /)
})

test('a worker says at its start which tasks have no handler', async (t) => {
  const bench = inMemory(t, { tasks: [task({ name: 'bare' })] })
  await bench.work()
  assert.match(
    bench.told.warnings[0]?.message ?? '',
    /^bare at .*inputs\.test\.ts:\d+ has no handler/,
  )
})
