import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as z from 'zod'
import { task, type AnyTask } from '../core/task.ts'
import { createErrand } from '../errand.ts'
import { memory } from '../stores/memory/index.ts'
import { App } from './app.ts'
import { describeTask, readNotes } from './registered-tasks.ts'

const mail = task({
  name: 'mail',
  input: z.object({ to: z.string() }),
  output: z.object({ id: z.int() }),
  queue: ['mails', 'bulk'],
  description: 'Sends **one** mail.',
  examples: [{ to: 'ada' }],
  tags: ['outgoing', 'outgoing'],
})

function appWith(tasks: readonly AnyTask[]): App {
  return new App({ store: memory(), tasks, queues: { bulk: { priority: 7, unique: true } } }, '/')
}

describe('the entry of a task', () => {
  it('says what the task is for, what it takes and gives, and where it goes', () => {
    const notes = readNotes(describeTask(appWith([mail]), mail))
    assert.deepEqual(notes.queues, ['mails', 'bulk'])
    assert.equal(notes.description, 'Sends **one** mail.')
    assert.deepEqual(notes.examples, [{ to: 'ada' }])
    assert.deepEqual(notes.tags, ['outgoing'])
    assert.deepEqual((notes.inputSchema as { required: unknown }).required, ['to'])
    assert.equal((notes.outputSchema as { type: unknown }).type, 'object')
  })

  it('warns once of a schema that gives no JSON Schema', () => {
    const dated = task({ name: 'dated', input: z.date(), output: z.bigint() })
    const app = appWith([dated])
    const warned: string[] = []
    app.events.on('warning', (warning) => {
      if (warning.code === 'no-json-schema') warned.push(`${warning.task}.${warning.of}`)
    })
    for (let n = 0; n < 3; n++) {
      const notes = readNotes(describeTask(app, dated))
      assert.deepEqual([notes.inputSchema, notes.outputSchema], [null, null])
    }
    assert.deepEqual(warned.toSorted(), ['dated.input', 'dated.output'])
  })

  it('that something else wrote is read as far as it can be', () => {
    const odd = { name: 'odd', aliases: [], queue: 'q', inputSchema: '{', options: '[1' }
    const { queues, inputSchema, tags } = readNotes(odd)
    assert.deepEqual([queues, inputSchema, tags], [['q'], null, []])
    const queer = { ...odd, options: '{"tags":5,"queues":{},"description":1,"servedAt":"x"}' }
    assert.deepEqual(readNotes(queer), readNotes({ ...odd, options: '{}' }))
  })
})

describe('a task with several queues', () => {
  it('goes to the first, and to another without more configuration', async () => {
    await using errand = createErrand({ store: memory(), tasks: [mail] })
    const first = await errand.enqueue(mail, { to: 'a' })
    assert.equal((await errand.jobs.get(first.id))?.queue, 'mails')
    const other = await errand.enqueue('mail', { to: 'a' }, { queue: 'bulk' })
    assert.equal((await errand.jobs.get(other.id))?.queue, 'bulk')
    await assert.rejects(errand.enqueue(mail, { to: 'a' }, { queue: 'other' }), {
      code: 'unknown-queue',
    })
    const worker = errand.worker()
    await worker.start()
    assert.deepEqual(worker.status.queues.toSorted(), ['bulk', 'default', 'mails'])
  })

  it('does so where only the registry knows it, with what its app says of each queue', async () => {
    const store = memory()
    await store.registerTasks([describeTask(appWith([mail]), mail)])
    const errand = createErrand({ store })
    const put = async (queue: string) => {
      const { id, inserted } = await errand.enqueue('mail', { to: 'a' }, { queue })
      const [job] = await store.get([id])
      return { priority: job?.priority, inserted }
    }
    assert.deepEqual(await put('mails'), { priority: 0, inserted: 'created' })
    assert.deepEqual(await put('mails'), { priority: 0, inserted: 'created' })
    assert.deepEqual(await put('bulk'), { priority: 7, inserted: 'created' })
    assert.deepEqual(await put('bulk'), { priority: 7, inserted: 'duplicate' })
    await assert.rejects(put('other'), { code: 'unknown-queue' })
  })
})

describe('what a task says of itself', () => {
  const refused: readonly (readonly [string, object])[] = [
    ['no queue', { queue: [] }],
    ['a queue twice', { queue: ['a', 'a'] }],
    ['a queue that is no name', { queue: ['a', 5] }],
    ['a description that is too long', { description: 'x'.repeat(5_001) }],
    ['a description that no store keeps', { description: 'a\0' }],
    ['too many examples', { examples: Array.from({ length: 11 }, () => 1) }],
    ['too large an example', { examples: ['x'.repeat(16_384)] }],
    ['examples that are no list', { examples: 'x' }],
    ['too many tags', { tags: Array.from({ length: 11 }, (_, n) => `${n}`) }],
    ['tags that are no list', { tags: 'x' }],
    ['an example that does not fit', { input: z.string(), examples: [1] }],
  ]
  for (const [what, given] of refused) {
    it(`is refused with ${what}`, () => {
      assert.throws(() => task({ name: 'x', ...given } as never), {
        code: /^invalid-(option|task)$/,
      })
    })
  }
})
