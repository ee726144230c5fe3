/** A browser for tests of the dashboard, and an app behind a manager for it to look at. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { chromium, type Browser, type BrowserContextOptions, type Page } from 'playwright-core'
import * as z from 'zod'
import {
  createErrand,
  Discard,
  schedule,
  singleton,
  task,
  Unrecoverable,
  workflow,
  type Errand,
  type Store,
} from 'errand'
import { listen, manager, type ManagerOptions } from 'errand/manager'
import { findBinary, onPath } from '../services.ts'

const program = {
  name: 'Chromium',
  variable: 'CHROMIUM_PATH',
  debianPackage: 'chromium',
  binary: () => process.env['CHROMIUM_PATH'] ?? onPath('chromium') ?? onPath('chromium-browser'),
}

/** Starts the browser of this machine, or answers null, and then the suite has been told. */
export async function openBrowser(): Promise<Browser | null> {
  const executablePath = findBinary(program)
  if (executablePath === null) return null
  if (!existsSync(join(import.meta.dirname, '../../dashboard/dist/app.js')))
    await import('../../dashboard/build.ts')
  return chromium.launch({
    executablePath,
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking'],
  })
}

/** What is dangerous or unreadable where it is not treated as text. */
export const nasty = '<img src=x onerror=alert(1)>"\'&\u202eevil🙂\u0007'

const resize = task({
  name: 'images.resize',
  queue: 'images',
  input: z.object({ path: z.string(), width: z.int().positive(), mode: z.enum(['fit', 'fill']) }),
  run: ({ width }, job) => {
    job.log.info(`resizing to ${width}`)
    return { bytes: width * 3 }
  },
})
const mail = task({
  name: 'mail.send',
  queue: 'mail',
  retry: 'never',
  async run({ to }: { to: string }, job) {
    job.progress(0.4)
    job.log.warn(`the server of ${to} is slow`)
    if (to.startsWith('bad')) throw new Unrecoverable(`550 no such user: ${to}`)
    if (to.startsWith('old')) throw new Discard('nobody reads it')
    return { sent: to }
  },
})
const hang = task({
  name: 'hang',
  timeout: 'none',
  async run(_input: null, job) {
    while (!job.signal.aborted) await sleep(20)
    throw new Error('told to end')
  },
})
const part = task({ name: 'part', run: ({ n }: { n: number }) => ({ n: n + 1 }) })
const flow = workflow({
  name: 'import',
  input: z.object({ from: z.int() }),
  build(w, { from }) {
    const first = w.add('fetch', part, { n: from })
    const parts = [0, 1, 2].map((n) => w.add(`part-${n}`, part, { n: first.output.n }))
    const ends = parts.map(({ output }) => output.n)
    w.output(w.add('load', part, { n: ends[0] ?? 0 }, { needs: parts }).output)
  },
})
const nightly = schedule({
  name: 'reports.nightly',
  task: mail,
  input: { to: 'team@example.com' },
  cron: '0 3 * * MON-FRI',
  timezone: 'Europe/Prague',
})
const poller = singleton({ name: 'poller', every: '5s', run: () => undefined })

export interface Scene {
  readonly errand: Errand
  /** Where the dashboard is, with a slash at its end. */
  readonly url: string
}

/** An app with a worker and jobs in many states, behind a manager; the end of the test closes it. */
export async function scene(
  context: TestContext,
  store: Store,
  options: ManagerOptions = {},
): Promise<Scene> {
  const errand = createErrand({
    store,
    tasks: [resize, mail, hang, part],
    workflows: [flow],
    schedules: [nightly],
    singletons: [poller],
    queues: { images: { slots: 2 }, mail: { slots: 2 }, default: { slots: 4 }, forgotten: {} },
  })
  const server = await listen(manager(errand, options), { port: 0 })
  const worker = errand.worker({ queues: ['images', 'mail', 'default'] })
  context.after(async () => {
    await server.close({ grace: 0 })
    await worker.stop({ grace: 0, abortGrace: '1s' })
    await errand.close()
  })
  await worker.start()
  await errand.start(flow, { from: 1 })
  const images = [1, 2, 3, 4, 5].map(
    (width) => ({ path: `${width}.png`, width, mode: 'fit' }) as const,
  )
  await errand.enqueueMany(images.map((input) => [resize, input] as const))
  await errand.enqueueMany([
    [mail, { to: 'ada@example.com' }],
    [mail, { to: 'bad@example.com' }],
    [mail, { to: `bad ${nasty}` }],
    [mail, { to: 'old@example.com' }],
    [
      mail,
      { to: 'later@example.com' },
      { delay: '1h', tags: ['vip', nasty.replace('\u0007', '')] },
    ],
    [hang, null],
  ])
  await errand.enqueue(part, { n: 0 }, { queue: 'forgotten' })
  await settled(errand)
  return { errand, url: `${server.url}/` }
}

async function settled(errand: Errand): Promise<void> {
  for (;;) {
    const queues = await errand.queues.list()
    const waiting = queues.filter(({ name }) => name !== 'forgotten')
    const ready = waiting.some(({ counts }) => (counts.ready ?? 0) + (counts.blocked ?? 0) > 0)
    const running = queues.reduce((sum, { counts }) => sum + (counts.running ?? 0), 0)
    if (!ready && running === 1) return
    await sleep(50)
  }
}

/** A page, and all that the browser found fault with. */
export interface Watched {
  readonly page: Page
  /** Errors of scripts, refusals of the content security policy, failed assets. */
  readonly faults: readonly string[]
}

export async function watch(
  browser: Browser,
  options: BrowserContextOptions = {},
): Promise<Watched> {
  const context = await browser.newContext(options)
  const page = await context.newPage()
  page.setDefaultTimeout(20_000)
  const faults: string[] = []
  page.on('pageerror', (error) => void faults.push(error.message))
  page.on('dialog', (dialog) => {
    faults.push(`a dialog said ${dialog.message()}`)
    void dialog.dismiss()
  })
  page.on('console', (message) => {
    // A refusal of the API is what some tests ask for; the page shows it.
    const isAnswer = /Failed to load resource.*status of 4\d\d/.test(message.text())
    if (['error', 'warning'].includes(message.type()) && !isAnswer) faults.push(message.text())
  })
  return { page, faults }
}
