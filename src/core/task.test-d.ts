/** What must and must not compile about tasks. */
import * as z from 'zod'
import * as v from 'valibot'
import { task, tasksWith, type InputOf, type OutputOf } from './task.ts'

type Equal<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
declare function is<T extends true>(value?: T): void

const index = task({ name: 'index', input: z.object({ bytes: z.number() }), run: () => 'ok' })
const mail = task({
  name: 'mail',
  async run(input: { to: string }) {
    return input.to.length
  },
})
const alert = task({
  name: 'alert',
  run(report: { reason: string }) {
    return report.reason
  },
})

const resize = task({
  name: 'resize',
  input: z.object({ path: z.string(), width: z.string().transform(Number) }),
  output: z.object({ bytes: z.number() }),
  onSuccess: [index, 'by-name'],
  onFailure: alert,
  unique: { key: (input) => input.path },
  run({ path, width }, job) {
    job.progress(0.5)
    return { bytes: path.length * width }
  },
})
is<Equal<InputOf<typeof resize>, { path: string; width: string }>>()
is<Equal<OutputOf<typeof resize>, { bytes: number }>>()
is<Equal<InputOf<typeof mail>, { to: string }>>()
is<Equal<OutputOf<typeof mail>, number>>()

task({
  name: 'calls',
  async run(_: undefined, job) {
    const sent = await job.call(mail, { to: 'ada' }, { id: 'mail', delay: '1s' })
    is<Equal<typeof sent, number>>()
    const { bytes } = await job.call(resize, { path: 'a.png', width: '3' })
    is<Equal<typeof bytes, number>>()
    is<Equal<Awaited<ReturnType<typeof job.call<typeof index>>>, string>>()
    // @ts-expect-error -- its input is missing
    await job.call(mail)
    // @ts-expect-error -- its input does not fit
    await job.call(mail, { to: 1 })
    // @ts-expect-error -- a called job runs in a worker
    await job.call(mail, { to: 'ada' }, { inline: true })
  },
})

const valibot = task({ name: 'v', input: v.object({ a: v.string() }), run: ({ a }) => a })
is<Equal<InputOf<typeof valibot>, { a: string }>>()

const bare = task<{ a: string }, { b: number }>({ name: 'bare' })
is<Equal<InputOf<typeof bare>, { a: string }>>()
is<Equal<OutputOf<typeof bare>, { b: number }>>()
bare.run(({ a }) => ({ b: a.length }))
// @ts-expect-error -- a handler must give the output
bare.run(() => ({ c: 1 }))
bare.onSuccess('anything')
// @ts-expect-error -- the output is not what mail takes
bare.onSuccess(mail)

const none = task({ name: 'none', run: () => 1 })
is<Equal<InputOf<typeof none>, undefined>>()

const empty = z.object({})
const counted = z.object({ n: z.number() })
// @ts-expect-error -- run must give the schema's output
task({ name: 'x', input: empty, output: counted, run: () => ({ n: 'no' }) })
// @ts-expect-error -- run must take what the schema gives
task({ name: 'x', input: z.object({ a: z.string() }), run: (input: { a: number }) => input.a })
// @ts-expect-error -- the output does not fit the follow-up
task({ name: 'x', output: counted, onSuccess: [index], run: () => ({ n: 1 }) })
// @ts-expect-error -- onFailure gets a failure report
task({ name: 'x', onFailure: mail, run: () => 1 })
// @ts-expect-error -- a task has a name
task({ run: () => 1 })
// @ts-expect-error -- a duration is text or milliseconds
task({ name: 'x', timeout: { seconds: 3 }, run: () => 1 })

// What follows may be given before a handler whose job has no annotation.
const counts = task({ name: 'counts', run: (input: { n: number }) => input.n })
task({
  name: 'x',
  onSuccess: counts,
  run: (input: { a: number }, job) => ({ n: job.attempt + input.a }),
})
const other = (input: { a: number }): { m: number } => ({ m: input.a })
// @ts-expect-error -- the output does not fit the follow-up
task({ name: 'x', onSuccess: counts, run: other })

interface Context {
  readonly db: { query(sql: string): Promise<number> }
}
const app = tasksWith<Context>()
app.task({ name: 'with', run: (_: undefined, job) => job.context.db.query('select 1') })
// @ts-expect-error -- the context has no redis
app.task({ name: 'with', run: (_: undefined, job) => job.context.redis })
