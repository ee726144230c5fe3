import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as v from 'valibot'
import { toStandardJsonSchema } from '@valibot/to-json-schema'
import * as z from 'zod'
import { isErrandError } from '../core/errors.ts'
import { task, type AnyTask } from '../core/task.ts'
import { createErrand, type Errand } from '../errand.ts'
import type { Store } from '../store/store.ts'
import { memory } from '../stores/memory/index.ts'
import { spying } from '../testing/by-hand.ts'
import { VirtualClock } from '../testing/virtual-clock.ts'
import { App } from '../app/app.ts'
import { Client } from './client.ts'
import { describeTask } from '../app/registered-tasks.ts'

const resize = task({
  name: 'images.resize',
  aliases: ['resize'],
  input: z.object({ path: z.string(), sizes: z.array(z.object({ width: z.int().positive() })) }),
  queue: 'images',
  priority: 5,
  deadline: '1h',
  unique: { key: 'only-one', during: ['ready'] },
})
const good = { path: 'a.png', sizes: [{ width: 3 }] }

async function register(store: Store, ...tasks: readonly AnyTask[]): Promise<void> {
  const app = new App({ store, queues: { images: { startWithin: '10m' } } }, '/')
  await store.registerTasks(tasks.map((one) => describeTask(app, one)))
}

async function producer(
  ...tasks: readonly AnyTask[]
): Promise<{ readonly errand: Errand; readonly store: Store }> {
  const store = memory()
  await register(store, ...tasks)
  return { store, errand: createErrand({ store }) }
}

describe('enqueue by name', () => {
  it('takes the app’s own definition when there is one', async () => {
    const errand = createErrand({ store: memory(), tasks: [resize] })
    await assert.rejects(errand.enqueue('images.resize', { path: 1 }), { code: 'invalid-input' })
    const { id } = await errand.enqueue('resize', good)
    assert.equal((await errand.jobs.get(id))?.task, 'images.resize')
  })

  it('takes queue, options and unique rule from the tasks registry', async () => {
    const { errand, store } = await producer(resize)
    const { id } = await errand.enqueue('images.resize', good)
    const [job] = await store.get([id])
    assert.equal(job?.queue, 'images')
    assert.equal(job.priority, 5)
    assert.equal(job.deadlineAt, job.createdAt + 3_600_000)
    assert.equal(job.startBy, job.dueAt + 600_000)
    assert.equal(job.uniqueKey, 'resize:only-one')
    assert.equal((await errand.enqueue('resize', good)).inserted, 'duplicate')
  })

  it('checks the input by its JSON Schema, with the path of each issue', async () => {
    const { errand } = await producer(resize)
    const bad = { sizes: [{ width: 3 }, { width: 'wide' }] }
    await assert.rejects(errand.enqueue('images.resize', bad), (error) => {
      assert.ok(isErrandError(error, 'invalid-input'))
      const paths = (error.details['issues'] as { path: string }[]).map(({ path }) => path)
      assert.deepEqual(paths.toSorted(), ['path', 'sizes.1.width'])
      assert.match(error.message, /sizes\.1\.width: must be integer/)
      return true
    })
    assert.deepEqual(await errand.jobs.counts(), [])
  })

  it('takes schemas of any library that tells its JSON Schema', async () => {
    const other = task({ name: 'other', input: toStandardJsonSchema(v.object({ a: v.string() })) })
    const { errand } = await producer(other)
    await assert.rejects(errand.enqueue('other', { a: 1 }), { code: 'invalid-input' })
    await errand.enqueue('other', { a: 'x' })
  })

  it('leaves the check to the worker when a schema has no JSON Schema, or one that cannot be used', async () => {
    const dated = task({ name: 'dated', input: z.object({ at: z.date() }) })
    const { errand, store } = await producer(dated)
    assert.equal((await store.tasks())[0]?.inputSchema, null)
    await errand.enqueue('dated', { at: 'today' })

    await store.registerTasks([
      {
        name: 'odd',
        aliases: [],
        queue: 'default',
        inputSchema: '{"$ref":"nowhere"}',
        options: '{"layer":{}}',
      },
    ])
    const warnings: string[] = []
    errand.on('warning', ({ code }) => warnings.push(code))
    await errand.enqueue('odd', 1)
    assert.deepEqual(warnings, ['unusable-schema'])
  })

  it('refuses a name that nobody knows, and names the nearest', async () => {
    const { errand } = await producer(resize)
    await assert.rejects(errand.enqueue('images.resise', good), {
      code: 'unknown-task',
      message: /Did you mean images\.resize\?/,
    })
    await assert.rejects(errand.enqueue('something else', good), { code: 'unknown-task' })
  })

  it('finds a task that is registered later, without a restart', async () => {
    const { errand, store } = await producer()
    await assert.rejects(errand.enqueue('images.resize', good), { code: 'unknown-task' })
    await register(store, resize)
    await errand.enqueue('images.resize', good)
  })

  it('reads the registry once for many calls, and again after a second, so that a schema that changed is used', async () => {
    const clock = new VirtualClock()
    let reads = 0
    const store = spying(memory({ clock }), (call) => void (call === 'tasks' && reads++))
    await register(store, task({ name: 'a', input: z.string() }))
    const errand = createErrand({ store })
    await Promise.all(Array.from({ length: 50 }, () => errand.enqueue('a', 'x')))
    await errand.enqueue('a', 'x')
    assert.equal(reads, 1)
    await register(store, task({ name: 'a', input: z.number() }))
    await clock.advance(1_000)
    await errand.enqueue('a', 1)
    assert.equal(reads, 2)
    await assert.rejects(errand.enqueue('a', 'x'), { code: 'invalid-input' })
  })

  it('refuses a task whose unique key only its definition can make, unless the call gives one', async () => {
    const keyed = task({
      name: 'keyed',
      unique: { key: (input: { k: string }) => input.k },
      run: (input: { k: string }) => input.k,
    })
    const { errand } = await producer(keyed)
    await assert.rejects(errand.enqueue('keyed', { k: 'a' }), {
      code: 'invalid-option',
      message: /made|makes/,
    })
    await errand.enqueue('keyed', { k: 'a' }, { unique: { key: 'a' } })
    await errand.enqueue('keyed', { k: 'a' }, { unique: false })
  })
})

describe('what is known of a task', () => {
  it('is its definition, else its registry entry, else nothing but its name', async () => {
    const store = memory()
    await register(store, resize)
    const client = new Client(new App({ store }, '/'))
    assert.equal(await client.taskFacts(resize), resize.definition)
    assert.equal((await client.taskFacts('images.resize')).queue, 'images')
    assert.deepEqual(await client.taskFacts('unheard.of'), {
      name: 'unheard.of',
      aliases: [],
      queue: null,
      layer: {},
      unique: undefined,
      codec: null,
    })
  })
})
