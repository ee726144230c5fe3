/** What must and must not compile about apps. */
import * as z from 'zod'
import {
  createErrand,
  task,
  tasksWith,
  type BatchEnd,
  type EnqueuedJob,
  type Entry,
} from './index.ts'
import { memory } from './stores/memory/index.ts'
import * as tasksModule from './testing/sample-tasks.ts'

type Equal<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
const is = <T extends true>(fits: T | void): T | void => fits

const resize = task({
  name: 'resize',
  input: z.object({ path: z.string(), width: z.string().transform(Number) }),
  output: z.object({ bytes: z.number() }),
})
const ping = task({ name: 'ping', run: () => 'pong' })
const input = { path: 'a', width: '3' }
const store = memory()

const errand = createErrand({ store, tasks: [resize, ping] })
createErrand({ store })
createErrand({ store, tasks: tasksModule })
createErrand({ store, tasks: ['tasks/*.ts', resize, tasksModule] })

// What a task takes is what its schema takes, not what the schema makes of it.
const one = await errand.enqueue(resize, input)
is<Equal<typeof one, EnqueuedJob<{ bytes: number }>>>()
const result = await one.result({ timeout: '5s', take: true })
is<Equal<typeof result, { bytes: number }>>()
await errand.enqueue(resize, input, {
  delay: '5s',
  unique: { key: 'a' },
  onSuccess: ping,
  retry: 'never',
})
await errand.enqueue(ping)
await errand.enqueue(ping, undefined, { priority: 3 })
const byName = await errand.enqueue('anything', { at: 'all' })
is<Equal<typeof byName, EnqueuedJob<unknown>>>()

// @ts-expect-error -- the input is missing
await errand.enqueue(resize)
// @ts-expect-error -- the width is a text where it is enqueued
await errand.enqueue(resize, { path: 'a', width: 3 })
// @ts-expect-error -- the path is missing
await errand.enqueue(resize, { width: '3' })
// @ts-expect-error -- ping takes no input
await errand.enqueue(ping, 'input')
// @ts-expect-error -- there is no such option
await errand.enqueue(resize, input, { delai: '5s' })
// @ts-expect-error -- a duration is no word
await errand.enqueue(resize, input, { delay: 'soon' })
// @ts-expect-error -- a function cannot be stored with a job
await errand.enqueue(resize, input, { retry: { when: () => true } })
// @ts-expect-error -- no task at all
await errand.enqueue(5, input)

const several = await errand.enqueueMany([
  [resize, input],
  [resize, input, { delay: 5 }],
  [ping],
  ['by-name', { any: 'thing' }],
])
is<Equal<(typeof several)[0], EnqueuedJob<{ bytes: number }>>>()
is<Equal<(typeof several)[2], EnqueuedJob<string>>>()
is<Equal<(typeof several)[3], EnqueuedJob<unknown>>>()
const mapped = await errand.enqueueMany(
  ['a', 'b'].map((path) => [resize, { path, width: '1' }] as const),
)
is<Equal<(typeof mapped)[number], EnqueuedJob<{ bytes: number }>>>()
const bad = { path: 'a', width: 3 }
// @ts-expect-error -- the entry's width is no text
await errand.enqueueMany([[resize, bad]])
// @ts-expect-error -- the input is missing
await errand.enqueueMany([[resize]])
// @ts-expect-error -- a transaction is for the whole call
await errand.enqueueMany([[resize, input, { tx: {} }]])

interface Db {
  query(sql: string): Promise<number>
}
const { task: dbTask } = tasksWith<{ readonly db: Db }>()
const count = dbTask({
  name: 'count',
  run: (_: undefined, job) => job.context.db.query('select 1'),
})
const db: Db = { query: async () => 1 }

createErrand({ store, tasks: [count, ping], context: async () => ({ db, more: 1 }) })
createErrand({ store, tasks: count, context: () => ({ db }) })
// @ts-expect-error -- the context has no db
createErrand({ store, tasks: [count], context: () => ({ redis: 1 }) })
// @ts-expect-error -- there is no context
createErrand({ store, tasks: [count] })
// @ts-expect-error -- the db is another one
createErrand({ store, tasks: [ping, count], context: () => ({ db: { query: () => 'text' } }) })
// @ts-expect-error -- an app has a store
createErrand({ tasks: [ping] })
// @ts-expect-error -- there is no such option
createErrand({ store, quues: {} })
// @ts-expect-error -- queues have no such option
createErrand({ store, queues: { a: { slot: 3 } } })

// Follow-ups take what the task gives.
const store3 = task({ name: 'store3', run: (output: { bytes: number }) => output.bytes })
task({
  name: 'x',
  output: z.object({ bytes: z.number() }),
  onSuccess: store3,
  run: () => ({ bytes: 1 }),
})
const output = z.object({ other: z.number() })
// @ts-expect-error -- the output does not fit the follow-up
task({ name: 'x', output, onSuccess: store3, run: () => ({ other: 1 }) })
// @ts-expect-error -- a follow-up of failure gets a report
resize.onFailure(store3)
// @ts-expect-error -- the handler gives no bytes
resize.run(() => ({ other: 1 }))
// @ts-expect-error -- the handler gets a number
resize.run(({ width }) => ({ bytes: width.length }))

errand.on('run-ended', ({ outcome, durationMs }) => `${outcome} ${durationMs.toFixed()}`)
// @ts-expect-error -- there is no such event
errand.on('run-finished', () => undefined)
const record = await errand.jobs.get('id')
is<Equal<NonNullable<typeof record>['createdAt'], Date>>()
// @ts-expect-error -- there is no such state
await errand.jobs.list({ state: 'done' })

// Entries of a batch fit their tasks, and so does its callback.
const told = task({ name: 'told', run: (ended: BatchEnd) => ended.total })
const dated = task({ name: 'dated', run: (input: { year: number; failed: number }) => input.year })
const batch = await errand.batch([[resize, { path: 'a', width: '1' }]], { onEnd: told })
is<Equal<Awaited<ReturnType<typeof batch.result>>, BatchEnd>>()
await errand.batch([], { onEnd: [dated, { year: 2026, failed: 0 }] })
await errand.batch([], { onEnd: [dated, ({ failed }) => ({ year: 2026, failed })] })
await errand.batch(new Set<Entry>().values(), { onEnd: 'by name' })
// @ts-expect-error -- the input does not fit the task
await errand.batch([[resize, { path: 1 }]])
// @ts-expect-error -- the input of the callback has no year
await errand.batch([], { onEnd: [dated, { failed: 0 }] })
// @ts-expect-error -- the end of a batch is no input of this task
await errand.batch([], { onEnd: dated })

// A queue and a task have no process to stop.
await errand.control.pause({ queue: 'mail' }, { note: 'why' })
await errand.control.pause({ task: 'ping' })
await errand.control.stop({ group: 'api' })
await errand.control.restart({ all: true })
// @ts-expect-error
await errand.control.stop({ queue: 'mail' })
// @ts-expect-error
await errand.control.drain({ task: 'ping' })
// @ts-expect-error
await errand.control.pause({ all: false })
// @ts-expect-error
await errand.control.resume({})
