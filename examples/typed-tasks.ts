/** Ways to type a task: a schema of zod, valibot, arktype or any other Standard Schema, or the annotation of `run`. */
import { type } from 'arktype'
import { createErrand, isErrandError, task } from 'errand'
import { memory } from 'errand/memory'
import * as v from 'valibot'
import * as z from 'zod'

// The caller passes the schema's input (text), the handler gets its parsed output (a number).
const resize = task({
  name: 'resize',
  input: z.object({ path: z.string(), width: z.string().transform(Number) }),
  output: z.object({ pixels: z.int() }),
  run: ({ width }) => ({ pixels: width * width }),
})

const greet = task({
  name: 'greet',
  input: v.object({ name: v.string(), greeting: v.optional(v.string(), 'Hello') }),
  run: ({ name, greeting }) => `${greeting}, ${name}!`,
})

const repeat = task({
  name: 'repeat',
  input: type({ text: 'string', times: '1 <= number.integer <= 10' }),
  run: ({ text, times }) => text.repeat(times),
})

const add = task({
  name: 'add',
  run: ({ a, b }: { a: number; b: number }) => a + b,
})

const errand = createErrand({ store: memory(), tasks: [resize, greet, repeat, add] })
await errand.worker().start()

const small = await errand.enqueue(resize, { path: 'a.png', width: '12' })
const { pixels } = await small.result()
console.log('resize:', pixels)

const hello = await errand.enqueue(greet, { name: 'Ada' })
console.log('greet:', await hello.result())

const cheer = await errand.enqueue(repeat, { text: 'ho', times: 3 })
console.log('repeat:', await cheer.result())

const sum = await errand.enqueue(add, { a: 2, b: 3 })
console.log('add:', (await sum.result()).toFixed(1))

// What does not fit neither compiles nor gets into the store.
try {
  // @ts-expect-error -- width is text
  await errand.enqueue(resize, { path: 'b.png', width: 12 })
} catch (error) {
  if (!isErrandError(error, 'invalid-input')) throw error
  console.log(error.code, error.details['issues'])
}

await errand.close()

// Output:
// resize: 144
// greet: Hello, Ada!
// repeat: hohoho
// add: 5.0
// invalid-input [
//   {
//     path: 'width',
//     pointer: '/width',
//     message: 'Invalid input: expected string, received number'
//   }
// ]
