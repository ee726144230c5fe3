/** What must and must not compile about where handlers run. */
import * as z from 'zod'
import { inModule } from './in-module.ts'
import { task, type InputOf, type OutputOf } from './task.ts'

type Equal<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
declare function is<T extends true>(value?: T): void

type Count = (input: { readonly below: number }) => Promise<{ readonly count: number }>
const count = inModule<Count>('file:///count.ts', 'count')

const isolated = task({ name: 'isolated', run: count, isolate: 'thread' })
is<Equal<InputOf<typeof isolated>, { readonly below: number }>>()
is<Equal<OutputOf<typeof isolated>, { readonly count: number }>>()

const checked = task({ name: 'checked', input: z.object({ below: z.int() }), run: count })
is<Equal<InputOf<typeof checked>, { below: number }>>()
is<Equal<OutputOf<typeof checked>, { readonly count: number }>>()
// @ts-expect-error -- the handler takes another input
task({ name: 'other', input: z.string(), run: count })

const named = task<{ n: number }, string>({
  name: 'named',
  run: { module: 'file:///named.ts', export: 'run' },
})
is<Equal<InputOf<typeof named>, { n: number }>>()
is<Equal<OutputOf<typeof named>, string>>()

const both = task({
  name: 'both',
  exec: ['convert'],
  input: z.object({ path: z.string() }),
  output: z.object({ bytes: z.int() }),
})
is<Equal<InputOf<typeof both>, { path: string }>>()
is<Equal<OutputOf<typeof both>, { bytes: number }>>()
const text = task({ name: 'text', exec: ['wc'], output: 'text' })
is<Equal<InputOf<typeof text>, unknown>>()
is<Equal<OutputOf<typeof text>, string>>()
const read = task({ name: 'read', exec: ['wc'], input: z.string(), output: 'text' })
is<Equal<InputOf<typeof read>, string>>()
is<Equal<OutputOf<typeof read>, string>>()
const written = task({ name: 'written', exec: ['date'], output: z.string() })
is<Equal<OutputOf<typeof written>, string>>()
const given = task<number, boolean>({ name: 'given', exec: { command: ['prime'], cwd: '/tmp' } })
is<Equal<InputOf<typeof given>, number>>()
is<Equal<OutputOf<typeof given>, boolean>>()

// @ts-expect-error -- a program is no function
task({ name: 'twice', exec: ['true'], run: () => 1 })
// @ts-expect-error -- a program without its name
task({ name: 'empty', exec: [] })
// @ts-expect-error -- no such kind
task({ name: 'kind', isolate: 'fork', run: () => 1 })
// @ts-expect-error -- an amount has a unit
task({ name: 'memory', isolate: { kind: 'thread', memory: 512 }, run: () => 1 })
// @ts-expect-error -- what next() gives is the output
task({ name: 'wrap', wrap: async () => undefined, run: () => 1 })
