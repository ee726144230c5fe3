import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createErrand, task, type Errand } from 'errand'
import { manager, type Manager } from 'errand/manager'
import { memory } from 'errand/memory'
import * as z from 'zod'
import { App } from '../../src/app/app.ts'
import { describeTask, withTimes, type TaskNotes } from '../../src/app/registered-tasks.ts'
import { openApi } from '../../src/manager/openapi/document.ts'
import { uniqueNames } from '../../src/manager/openapi/names.ts'
import { addSchema, type Components } from '../../src/manager/openapi/schemas.ts'
import { LiveDocument } from '../../src/manager/openapi/live-document.ts'
import type { Route } from '../../src/manager/route.ts'
import { VirtualClock } from '../../src/testing/virtual-clock.ts'
import { resize } from './sample.ts'

type Json = Readonly<Record<string, unknown>>
interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Json>>>>
  readonly components: { readonly schemas: Json }
}

const answer = {
  type: 'object',
  properties: { id: { type: 'string' }, output: {} },
}
const route: Route = {
  method: 'POST',
  path: '/v1/queues/{queue}/tasks/{task}/jobs',
  id: 'enqueue',
  summary: 'Add a job.',
  tag: 'jobs',
  scopes: ['enqueue'],
  body: {},
  answers: { 201: { description: 'It is stored.', schema: answer } },
  handle: () => new Response(),
}

const notes = (given: Partial<TaskNotes> & { readonly name: string }): TaskNotes => ({
  queues: ['default'],
  inputSchema: null,
  outputSchema: null,
  description: null,
  examples: [],
  tags: [],
  ...given,
})

function documentOf(...tasks: readonly TaskNotes[]): Document {
  return openApi({ routes: [route], tasks, server: '/' }) as unknown as Document
}

async function documentFrom({ fetch }: Manager): Promise<Document> {
  const response = await fetch(new Request('http://127.0.0.1/openapi.json'))
  assert.equal(response.status, 200)
  return (await response.json()) as Document
}

describe('the document', () => {
  it('has a path and a tag for each queue of a task, with its schemas and examples', () => {
    const { paths, components } = documentOf(
      notes({
        name: 'a/b',
        queues: ['q 1', 'r'],
        inputSchema: { type: 'string' },
        outputSchema: { type: 'integer' },
        examples: ['x'],
        tags: ['more'],
      }),
    )
    assert.deepEqual(Object.keys(paths), [
      '/v1/queues/q%201/tasks/a%2Fb/jobs',
      '/v1/queues/r/tasks/a%2Fb/jobs',
      route.path,
    ])
    const first = paths['/v1/queues/q%201/tasks/a%2Fb/jobs']?.['post']
    assert.deepEqual(first?.['tags'], ['q 1', 'more'])
    assert.deepEqual(first['security'], [{ bearer: ['enqueue'] }])
    const text = JSON.stringify(first)
    assert.ok(text.includes('"schema":{"$ref":"#/components/schemas/ABInput"}'))
    assert.ok(text.includes('"output":{"$ref":"#/components/schemas/ABOutput"}'))
    assert.ok(text.includes('"examples":{"example1":{"value":"x"}}'))
    assert.deepEqual(components.schemas['ABOutput'], { type: 'integer' })
  })

  it('leaves out what no client can reach, and the calls of workers', () => {
    const store: Route = { ...route, path: '/v1/store/insert', id: 'store.insert' }
    const made = openApi({ routes: [route, store], tasks: [notes({ name: '..' })], server: '/' })
    assert.deepEqual(Object.keys(made['paths'] as object), [route.path])
  })
})

describe('names of operations', () => {
  const namesOf = (words: readonly string[], reserved: readonly string[] = []) => [
    ...uniqueNames(
      words.map((one) => ({ key: one, prefix: 'enqueue', words: one })),
      reserved,
    ).values(),
  ]

  it('are plain for tasks that no other is like', () => {
    assert.deepEqual(namesOf(['images.resize', 'sendMail']), [
      'enqueueImagesResize',
      'enqueueSendMail',
    ])
  })

  it('that would be shared are given to none of those, so that no client calls another by it', () => {
    const names = namesOf(['send-mail', 'send.mail', 'SENDMAIL', 'other'])
    assert.equal(new Set(names).size, 4)
    for (const name of names.slice(0, 3)) assert.match(name, /^enqueueSendMail_[\da-f]{8}$/i)
    assert.equal(names[3], 'enqueueOther')
  })

  it('leave those of other operations alone, and are safe in every language', () => {
    assert.match(namesOf(['many'], ['enqueueMany'])[0] ?? '', /^enqueueMany_[\da-f]{8}$/)
    for (const name of namesOf(['メール', '..', 'naïve', "it's"])) assert.match(name, /^\w+$/)
  })
})

describe('schemas of tasks', () => {
  const added = (schema: unknown): Components => {
    const components: Components = new Map()
    addSchema(components, 'In', schema)
    return components
  }

  it('refer to their own definitions and to themselves, beside each other', () => {
    const components = added({
      $schema: 'https://json-schema.org/draft/2020-12/schema',
      $defs: { 'a/b': { items: { $ref: '#' } }, In: { $ref: '#/$defs/a~1b/items' } },
      properties: { $ref: { $ref: '#/$defs/a~1b' }, self: { $ref: '#/properties/$ref' } },
    })
    assert.deepEqual([...components.keys()], ['In_a_b', 'In_In', 'In'])
    assert.deepEqual(components.get('In'), {
      properties: {
        $ref: { $ref: '#/components/schemas/In_a_b' },
        self: { $ref: '#/components/schemas/In/properties/%24ref' },
      },
    })
    assert.deepEqual(components.get('In_a_b'), { items: { $ref: '#/components/schemas/In' } })
    assert.deepEqual(components.get('In_In'), { $ref: '#/components/schemas/In_a_b/items' })
  })

  it('lead nowhere else', () => {
    const refs = ['https://example.org/x', '#/$defs/none', '#anchor', '../x', 5, '#/%zz']
    for (const ref of refs) assert.deepEqual(added({ not: { $ref: ref } }).get('In'), { not: {} })
  })

  it('keep values that look like schemas as they are, and end somewhere', () => {
    const value = { $ref: '#/nowhere', $id: 'x' }
    const kept = { const: value, enum: [value], default: value, examples: [value] }
    assert.deepEqual(added(kept).get('In'), kept)
    let deep: object = {}
    for (let level = 0; level < 5_000; level++) deep = { not: deep }
    assert.ok(JSON.stringify(added(deep).get('In')).length < 1_000)
  })
})

describe('the live document', () => {
  const later = task({ name: 'later', input: z.string(), queue: 'late' })
  const pathOfLater = '/v1/queues/late/tasks/later/jobs'
  const register = (errand: Errand, servedAt: number): Promise<void> => {
    const entry = describeTask(new App({ store: errand.store }, '/'), later)
    return errand.store.registerTasks([withTimes(entry, { registeredAt: servedAt, servedAt })])
  }

  it('shows a task within a second after a worker registered it, and until nobody served it for a day', async () => {
    const clock = new VirtualClock()
    const errand = createErrand({ store: memory({ clock }) })
    const made = manager(errand, { access: 'open' })
    assert.equal((await documentFrom(made)).paths[pathOfLater], undefined)
    await register(errand, clock.now())
    await clock.advance(1_000)
    assert.ok((await documentFrom(made)).paths[pathOfLater])
    await clock.advance(86_400_000)
    assert.equal((await documentFrom(made)).paths[pathOfLater], undefined)
    // Its jobs are taken all the same: a weekend without workers loses nothing.
    await errand.enqueue('later', 'x')
    await errand.close()
  })

  it('tells by the time of the store how long ago a task was served', async () => {
    const clock = new VirtualClock()
    const ahead = { now: () => clock.now() + 2 * 86_400_000, after: clock.after.bind(clock) }
    const errand = createErrand({ store: { ...memory({ clock }), clock: ahead } })
    const made = manager(errand, { access: 'open' })
    await register(errand, clock.now())
    assert.ok((await documentFrom(made)).paths[pathOfLater])
    await errand.close()
  })

  it('reads the registry once for all who ask within half a second', async () => {
    let reads = 0
    const errand = createErrand({ store: memory() })
    const counted = Object.create(errand, {
      tasks: { value: { ...errand.tasks, list: () => (reads++, errand.tasks.list()) } },
    }) as Errand
    const made = manager(counted, { access: 'open' })
    await Promise.all(Array.from({ length: 50 }, () => documentFrom(made)))
    assert.equal(reads, 1)
    await errand.close()
  })

  it('shows a caller the tasks of its own queues only', async () => {
    const errand = createErrand({ store: memory(), tasks: [later, resize] })
    const live = new LiveDocument(errand, { routes: [route], shownForMs: 86_400_000 })
    const pathsFor = async (...queues: readonly string[]): Promise<readonly string[]> => {
      const caller = { token: 'x', scopes: new Set(['read'] as const), queues: new Set(queues) }
      const { text } = await live.get(caller, '/')
      const paths = Object.keys((JSON.parse(text) as Document).paths)
      return paths.filter((path) => path !== route.path)
    }
    assert.deepEqual(await pathsFor('late'), [pathOfLater])
    assert.deepEqual(await pathsFor('bulk'), ['/v1/queues/bulk/tasks/images.resize/jobs'])
    assert.deepEqual(await pathsFor('none'), [])
    await errand.close()
  })

  it('has a tag by which clients see that nothing changed', async () => {
    const errand = createErrand({ store: memory(), tasks: [later] })
    const { fetch } = manager(errand, { access: 'open' })
    const get = (headers: Record<string, string>): Promise<Response> =>
      fetch(new Request('http://127.0.0.1/openapi.json', { headers }))
    const etag = (await get({})).headers.get('etag') ?? ''
    assert.match(etag, /^"[\w-]+"$/)
    for (const known of [etag, `W/${etag}`, `"x", ${etag}`, '*'])
      assert.equal((await get({ 'if-none-match': known })).status, 304)
    assert.equal((await get({ 'if-none-match': '"x"' })).status, 200)
    await errand.close()
  })

  it('is not spoiled by entries that something else wrote', async () => {
    const errand = createErrand({ store: memory() })
    const bad = [
      '{',
      '5',
      '[]',
      '{"type":"nonsense"}',
      '{"$ref":"https://example.org"}',
      '{"$schema":"x"}',
    ]
    await errand.store.registerTasks(
      bad.map((inputSchema, n) => ({
        name: `bad-${n}`,
        aliases: [],
        queue: 'bad',
        inputSchema,
        options: ['{"layer":{},"tags":5}', '5', 'null', '{'][n % 4] ?? '',
      })),
    )
    const { paths } = await documentFrom(manager(errand, { access: 'open' }))
    const shown = Object.keys(paths).filter((path) => path.startsWith('/v1/queues/bad/'))
    assert.equal(shown.length, bad.length)
    await errand.close()
  })
})
