/** A page that stays open: its stream in a hidden tab, and a store that goes away and comes back. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, suite, test, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Page } from 'playwright-core'
import { createErrand, task, type Errand, type Store } from 'errand'
import { manager } from 'errand/manager'
import { memory } from 'errand/memory'
import { postgres } from 'errand/postgres'
import { redis } from 'errand/redis'
import { canStartPostgres, startPostgres } from '../postgres-server.ts'
import { canStartRedis, startRedis } from '../redis-server.ts'
import type { Started } from '../services.ts'
import { openBrowser, watch } from './browser.ts'

const browser = await openBrowser()
after(() => browser?.close())

const nothing = task({ name: 'nothing', run: () => undefined })

interface Asked {
  readonly path: string
  readonly at: number
  /** Infinity while it is not answered. */
  endedAt: number
}

interface Watched {
  readonly errand: Errand
  readonly url: string
  /** Streams of events that are open now. */
  readonly streams: () => number
  /** When each request came and was answered, in ms. */
  readonly asked: readonly Asked[]
}

/** A manager whose requests are counted before they reach it. */
async function watched(t: TestContext, store: Store): Promise<Watched> {
  const errand = createErrand({ store, tasks: [nothing], queues: { '*': {} } })
  const own = manager(errand, { access: 'open' })
  const asked: Asked[] = []
  let streams = 0
  const server = createServer((request, response) => {
    const path = request.url?.split('?')[0] ?? ''
    const one: Asked = { path, at: performance.now(), endedAt: Infinity }
    asked.push(one)
    response.once('close', () => (one.endedAt = performance.now()))
    if (path === '/v1/events') {
      streams += 1
      response.once('close', () => (streams -= 1))
    }
    void own.listener(request, response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(async () => {
    server.closeAllConnections()
    server.close()
    await own.stop({ grace: 0 })
    await errand.close()
  })
  const { port } = server.address() as AddressInfo
  return { errand, url: `http://127.0.0.1:${port}/`, streams: () => streams, asked }
}

async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + 60_000
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`waited in vain: ${what}`)
    await sleep(25)
  }
}

/** Says to the page that it is hidden, or seen again; a browser without a screen hides no tab. */
async function hide(page: Page, isHidden: boolean): Promise<void> {
  await page.evaluate(`Object.defineProperty(document, 'hidden', {
    configurable: true, get: () => ${isHidden} })
    document.dispatchEvent(new Event('visibilitychange'))`)
}

// They wait, each for a manager of its own.
suite('a page that stays open', { skip: browser === null, concurrency: true }, () => {
  if (browser === null) return

  test('a hidden tab has no stream and reads nothing; seen again, it has one, and shows what came', async (t) => {
    const { errand, url, streams, asked } = await watched(t, memory())
    await errand.enqueue(nothing, undefined, { queue: 'first' })
    const { page, faults } = await watch(browser)
    t.after(() => page.context().close())
    await page.goto(`${url}#/queues`)
    await page.getByText('Live', { exact: true }).waitFor()
    await page.getByRole('row', { name: /first/ }).waitFor()
    assert.equal(streams(), 1)

    for (const queue of ['second', 'third']) {
      await hide(page, true)
      await page.getByText('Paused', { exact: true }).waitFor()
      await until('the stream to close', () => streams() === 0)
      const before = asked.length
      await errand.enqueue(nothing, undefined, { queue })
      // Longer than the page rests between two readings.
      await sleep(queue === 'second' ? 6_000 : 0)
      assert.deepEqual(
        asked.slice(before).map(({ path }) => path),
        [],
      )
      await hide(page, false)
      await page.getByText('Live', { exact: true }).waitFor()
      await page.getByRole('row', { name: queue }).waitFor({ timeout: 60_000 })
      assert.equal(streams(), 1)
    }

    // A page that goes to another one has one stream all the same, and none once it is closed.
    await page.goto(`${url}#/jobs`)
    await page.getByRole('heading', { name: 'Jobs' }).waitFor()
    await until('one stream', () => streams() === 1)
    assert.deepEqual(faults, [])
    await page.close()
    await until('no stream', () => streams() === 0)
  })

  if (canStartPostgres()) outage('PostgreSQL', () => startPostgres({}), postgres)
  if (canStartRedis()) {
    // With `everysec` a server that is killed beside a slow disk loses what came last.
    const args = ['--appendonly', 'yes', '--appendfsync', 'always']
    outage('Redis', () => startRedis(...args), redis)
  }

  function outage(
    name: string,
    serve: () => Promise<Started & { readonly url: string }>,
    open: (url: string) => Store,
  ): void {
    test(
      `${name} goes away: the page says so, asks seldom, and goes on by itself when it is back`,
      { timeout: 180_000 },
      async (t) => {
        assert.ok(browser !== null)
        const server = await serve()
        t.after(() => server.stop())
        const { errand, url, streams, asked } = await watched(t, open(server.url))
        await errand.enqueue(nothing, undefined, { queue: 'before' })
        const { page } = await watch(browser)
        t.after(() => page.context().close())
        await page.goto(url)
        await page.getByRole('row', { name: /before/ }).waitFor()
        await page.evaluate(`window.isTheSame = true`)

        await server.kill()
        const words = page.getByRole('alert').first()
        await words.waitFor({ timeout: 60_000 })
        assert.match(
          await words.innerText(),
          /(reached|nothing listens|connection|store|server).*The page tries again by itself\./i,
        )
        // What was known stays, with the words above it.
        await page.getByRole('row', { name: /before/ }).waitFor()
        const from = asked.length
        const reads = (): readonly Asked[] =>
          asked.slice(from).filter(({ path }) => path === '/v1/queues')
        await until('the page to look again', () => reads().length >= 2)
        const [first, second] = reads()
        // A look is over with the first of its calls that fails.
        const ends = asked
          .slice(from)
          .filter(({ at }) => at >= (first?.at ?? 0) - 50 && at < (second?.at ?? 0) - 50)
          .map(({ endedAt }) => endedAt)
        const restMs = (second?.at ?? 0) - Math.min(...ends)
        assert.ok(restMs > 1_000, `looks again after ${restMs} ms`)
        const paths = asked.slice(from).map(({ path }) => path)
        assert.ok(paths.length <= 30, `${paths.length} requests: ${paths.join()}`)

        await server.start()
        await until('the store to take a job', () =>
          errand.enqueue(nothing, undefined, { queue: 'after' }).then(
            () => true,
            () => false,
          ),
        )
        await page.getByRole('row', { name: /after/ }).waitFor({ timeout: 60_000 })
        await words.waitFor({ state: 'detached' })
        await page.getByText('Live', { exact: true }).waitFor()
        assert.equal(await page.evaluate(`window.isTheSame`), true)
        assert.equal(streams(), 1)
      },
    )

    test(`${name} is away when the page opens: it says so, and comes when that is back`, async (t) => {
      assert.ok(browser !== null)
      const server = await serve()
      t.after(() => server.stop())
      const { errand, url } = await watched(t, open(server.url))
      await errand.enqueue(nothing, undefined, { queue: 'before' })
      await server.kill()
      const { page } = await watch(browser)
      t.after(() => page.context().close())
      await page.goto(url)
      await page.getByRole('alert').first().waitFor({ timeout: 120_000 })
      await server.start()
      await page.getByRole('row', { name: /before/ }).waitFor({ timeout: 120_000 })
    })
  }
})
