/** Two processes of one system, for tests that act on all that a dashboard can reach: the manager's, and one elsewhere. */
import type { TestContext } from 'node:test'
import * as z from 'zod'
import {
  createErrand,
  schedule,
  singleton,
  task,
  Unrecoverable,
  workflow,
  type Errand,
  type Worker,
} from 'errand'
import { listen, manager } from 'errand/manager'
import { Shelf } from '../sources/shelf.ts'
import type { Open } from './places.ts'

export interface Stage {
  /** The manager's own app, with a worker and a running singleton. */
  readonly errand: Errand
  /** Where the dashboard is, with a slash at its end. */
  readonly url: string
  /** Another app on the same store, with a source of messages and two workers. */
  readonly elsewhere: Errand
  readonly shelf: Shelf
  /** By their groups: that of the manager's app, and those elsewhere. */
  readonly workers: Readonly<Record<'home' | 'day' | 'night', Worker>>
  /** How often the singleton has run. */
  readonly rounds: () => number
  /** Lets the step that fails succeed from now on. */
  readonly heal: () => void
}

/** Sets it up; the end of the test closes it. */
export async function stage(context: TestContext, open: Open): Promise<Stage> {
  let isHealed = false
  let rounds = 0
  const greet = task({
    name: 'greet',
    input: z.object({ name: z.string(), loud: z.boolean().default(false) }),
    run: ({ name, loud }) => ({ said: loud ? name.toUpperCase() : name }),
  })
  const step = task({
    name: 'step',
    retry: 'never',
    timeout: 'none',
    async run({ kind }: { kind: string }, job) {
      if (kind === 'fails' && !isHealed) throw new Unrecoverable('the disk is full')
      if (kind !== 'waits') return { kind }
      await new Promise((resolve) => job.signal.addEventListener('abort', resolve))
      throw new Error('told to end')
    },
  })
  const deploy = workflow({
    name: 'deploy',
    input: z.object({ version: z.int().positive(), kind: z.enum(['fails', 'waits', 'works']) }),
    build(w, { kind }) {
      const build = w.add('build', step, { kind: 'works' })
      const ship = w.add('ship', step, { kind }, { needs: [build] })
      w.output(w.add('tell', step, { kind: 'works' }, { needs: [ship] }).output)
    },
  })
  const daily = schedule({
    name: 'daily',
    task: greet,
    input: { name: 'day' },
    cron: '0 3 * * *',
    timezone: 'UTC',
  })
  const old = schedule({ name: 'old', task: greet, input: { name: 'old' }, every: '1d' })
  const beat = singleton({
    name: 'beat',
    every: '1h',
    keepLock: true,
    run() {
      rounds += 1
    },
  })
  const tasks = [greet, step]
  // Heartbeats come every half second.
  const common = { tasks, queues: { default: { slots: 4 } }, lease: '3s' } as const
  const errand = createErrand({
    ...common,
    store: open(),
    workflows: [deploy],
    schedules: [daily],
    singletons: [beat],
  })
  const shelf = new Shelf()
  const elsewhere = createErrand({
    ...common,
    store: open(),
    schedules: [old],
    scheduler: 'elsewhere',
    sources: [shelf.source()],
  })
  const server = await listen(manager(errand), { port: 0 })
  const workers = {
    home: errand.worker({ group: 'home' }),
    day: elsewhere.worker({ group: 'day', slots: 1 }),
    night: elsewhere.worker({ group: 'night', slots: 1 }),
  }
  const ending = new AbortController()
  await Promise.all(Object.values(workers).map((one) => one.start()))
  const running = errand.singletons.run('beat', { signal: ending.signal })
  elsewhere.sources.start()
  context.after(async () => {
    ending.abort()
    await running
    await server.close({ grace: 0 })
    await workers.home.stop({ grace: 0, abortGrace: '1s' })
    await errand.close()
    await elsewhere.close()
  })
  return {
    errand,
    url: `${server.url}/`,
    elsewhere,
    shelf,
    workers,
    rounds: () => rounds,
    heal: () => void (isHealed = true),
  }
}
