/**
 * `npm run dashboard:load -- --store sqlite|postgres|redis [--jobs 1000000] [--drain 300000]`: how long the first view of each
 * page takes beside so many jobs, and what an open dashboard costs a drain. The store is private and is emptied at the end.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Page } from 'playwright-core'
import { createErrand, task, type Store } from 'errand'
import { listen, manager } from 'errand/manager'
import { postgres } from 'errand/postgres'
import { redis } from 'errand/redis'
import { sqlite } from 'errand/sqlite'
import { median } from '../../bench/kit/numbers.ts'
import { startPostgres } from '../postgres-server.ts'
import { startRedis } from '../redis-server.ts'
import { openBrowser } from './browser.ts'

const { values } = parseArgs({
  options: {
    store: { type: 'string', default: 'sqlite' },
    jobs: { type: 'string', default: '1000000' },
    drain: { type: 'string', default: '300000' },
  },
})
const total = Number(values.jobs)
const drained = Number(values.drain)
/** In milliseconds, by the store. */
const aims: Readonly<Record<string, number>> = { sqlite: 300, postgres: 300, redis: 500 }
const aimMs = aims[values.store]
if (aimMs === undefined) throw new Error(`--store is one of ${Object.keys(aims).join(', ')}`)
const leastShare = 0.95
const rounds = 8

const { store, end } = await openStore()
const browser = await openBrowser()
if (browser === null) throw new Error('There is no Chromium.')

const waits = task({ name: 'waits', queue: 'waits', run: (_input: { n: number }) => undefined })
const noop = task({ name: 'noop', queue: 'noop', run: (_input: null) => undefined })
const errand = createErrand({
  store,
  tasks: [waits, noop],
  queues: { waits: {}, noop: { slots: 100 } },
})
const server = await listen(manager(errand), { port: 0 })
const chunk = 1_000
const tenths = Math.ceil(total / chunk / 10)
for (let at = 0; at < total; at += chunk) {
  const inputs = Array.from({ length: Math.min(chunk, total - at) }, (_, n) => ({ n: at + n }))
  await errand.enqueueMany(
    inputs.map((input) => [waits, input, input.n % 3 === 0 ? { delay: '1d' } : {}] as const),
  )
  if ((at / chunk) % tenths === 0) process.stdout.write('.')
}
process.stdout.write(` ${total} jobs wait\n`)

const page = await browser.newPage()
// The content is there once it is laid out: the frame after the one in which the last of it came.
await page.addInitScript(`
  new MutationObserver(() => {
    const isThere =
      document.querySelector('h1') !== null && !document.body.textContent.includes('Loading…')
    if (!isThere) window.isThereAt = undefined
    else if (window.isThereAt === undefined)
      requestAnimationFrame(() => setTimeout(() => (window.isThereAt ??= performance.now())))
  }).observe(document, { subtree: true, childList: true, characterData: true })
`)
let isMissed = false
const id = (await errand.jobs.list({ limit: 1 })).jobs[0]?.id ?? ''
for (const path of [
  '',
  'queues',
  'jobs',
  'jobs?state=scheduled',
  'jobs?task=waits',
  `jobs/${id}`,
  'workflows',
  'schedules',
  'fleet',
]) {
  const took: number[] = []
  for (let round = 0; round < 5; round += 1) took.push(await view(page, path))
  const ms = median(took)
  const isOver = ms > (aimMs ?? 0)
  isMissed ||= isOver
  const worst = Math.round(Math.max(...took))
  console.log(
    `${`#/${path}`.padEnd(44)}${Math.round(ms)} ms (worst ${worst})${isOver ? `, over ${aimMs}` : ''}`,
  )
}

const shares: number[] = []
for (let round = 0; round < rounds; round += 1) {
  // Each drain leaves the store fuller than it was, so that each goes first as often.
  const before = round % 2 === 0 ? await alone() : null
  const withPage = await beside()
  const without = before ?? (await alone())
  shares.push(withPage / without)
  console.log(
    `drain: ${Math.round(without)} jobs/s alone, ${Math.round(withPage)} beside an open dashboard`,
  )
}
const share = median(shares)
console.log(`beside / alone: ${share.toFixed(3)} (aim ${leastShare})`)

await browser.close()
await server.close({ grace: 0 })
await errand.close()
await end()
process.exit(isMissed || share < leastShare ? 1 : 0)

/** From the call for a page to its content, by the clock of the page, with nothing kept by the browser, in milliseconds. */
async function view(on: Page, path: string): Promise<number> {
  await on.goto('about:blank')
  await on.goto(`${server.url}/#/${path}`)
  await on.getByRole('heading', { level: 1 }).waitFor()
  await on.getByText('Loading…').first().waitFor({ state: 'detached' })
  const at = await on.waitForFunction('window.isThereAt')
  return (await at.jsonValue()) as number
}

async function alone(): Promise<number> {
  await page.goto('about:blank')
  return drain()
}

async function beside(): Promise<number> {
  await page.goto(`${server.url}/#/`)
  await page.getByText('Live', { exact: true }).waitFor()
  // What it reads when it opens is read.
  await sleep(5_000)
  return drain()
}

/** Jobs a second of one worker in this process. */
async function drain(): Promise<number> {
  for (let at = 0; at < drained; at += chunk)
    await errand.enqueueMany(Array.from({ length: chunk }, () => [noop, null] as const))
  const worker = errand.worker({ queues: ['noop'] })
  const begun = performance.now()
  await worker.start()
  for (;;) {
    const noops = (await errand.queues.list()).find(({ name }) => name === 'noop')?.counts
    if ((noops?.ready ?? 0) + (noops?.running ?? 0) === 0) break
    await sleep(200)
  }
  const seconds = (performance.now() - begun) / 1_000
  await worker.stop()
  return drained / seconds
}

async function openStore(): Promise<{ store: Store; end: () => Promise<void> }> {
  if (values.store === 'postgres') {
    const own = await startPostgres({})
    return { store: postgres(own.url), end: () => own.stop() }
  }
  if (values.store === 'redis') {
    const own = await startRedis()
    return { store: redis(own.url), end: () => own.stop() }
  }
  const folder = await mkdtemp(join(tmpdir(), 'errand-dashboard-'))
  return { store: sqlite(join(folder, 'jobs.db')), end: () => rm(folder, { recursive: true }) }
}
