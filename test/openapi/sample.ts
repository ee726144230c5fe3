/** A manager with tasks of all kinds, on a server of its own. */
import { createErrand, task, type Errand } from 'errand'
import { listen, manager, type ManagerServer } from 'errand/manager'
import { memory } from 'errand/memory'
import * as z from 'zod'

const node: z.ZodType = z.object({
  name: z.string(),
  get children() {
    return z.array(node)
  },
})

export const resize = task({
  name: 'images.resize',
  input: z.object({ path: z.string(), width: z.int().positive(), dpi: z.number().default(72) }),
  output: z.object({ bytes: z.int() }),
  queue: ['images', 'bulk'],
  description: 'Makes a picture smaller.\n\nIts sides keep their **ratio**.',
  examples: [{ path: 'a.png', width: 200 }],
  tags: ['pictures'],
  run: ({ width }) => ({ bytes: width * 3 }),
})

export const sampleTasks = [
  resize,
  task({ name: 'tree.walk', input: node, run: () => 1 }),
  task({ name: 'dated', input: z.date(), output: z.bigint(), run: () => 1n }),
  task({ name: 'anything', run: (input: unknown) => input }),
  // Names that no path and no program holds as they are. (A generator of types cannot read a path with %25.)
  task({ name: 'mail/send now?', input: z.string(), queue: 'a b{c}', run: () => 1 }),
  task({ name: 'メール', input: z.string(), run: () => 1 }),
  // These three would have one name in a program.
  task({ name: 'send-mail', input: z.string(), run: () => 1 }),
  task({ name: 'sendMail', input: z.number(), run: () => 1 }),
  task({ name: 'send.mail', input: z.boolean(), run: () => 1 }),
  // These would take the names of other things.
  task({ name: 'many', input: z.string(), run: () => 1 }),
  task({ name: '__proto__', input: z.string(), queue: 'constructor', run: () => 1 }),
]

export interface Sample extends AsyncDisposable {
  readonly errand: Errand
  readonly url: string
}

/** Listens, and runs the jobs of the tasks. */
export async function startSample(): Promise<Sample> {
  const errand = createErrand({ store: memory(), tasks: sampleTasks })
  await errand.worker().start()
  const server: ManagerServer = await listen(manager(errand), { port: 0 })
  return {
    errand,
    url: server.url,
    async [Symbol.asyncDispose]() {
      await server.close()
      await errand.close()
    },
  }
}
