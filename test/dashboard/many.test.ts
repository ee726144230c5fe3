/** Ten thousand queues: few rows, small answers, and each queue is found by its name. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import type { Page } from 'playwright-core'
import { createErrand, task } from 'errand'
import { listen, manager } from 'errand/manager'
import { sqlite } from 'errand/sqlite'
import { openBrowser, watch } from './browser.ts'

const browser = await openBrowser()
after(() => browser?.close())

const count = 10_000
/** What one answer and the whole page may have. */
const bounds = { answerBytes: 64 * 1_024, elements: 4_000 } as const

async function rowsOf(page: Page): Promise<number> {
  const { rows, elements } = (await page.evaluate(
    `({ rows: document.querySelectorAll('tbody tr').length,
        elements: document.querySelectorAll('*').length })`,
  )) as { rows: number; elements: number }
  assert.ok(elements <= bounds.elements, `${elements} elements`)
  return rows
}

test(
  'ten thousand queues leave the overview and the page of queues small and of use',
  { skip: browser === null },
  async (t) => {
    if (browser === null) return
    const folder = await mkdtemp(join(tmpdir(), 'errand-many-'))
    const idle = task({ name: 'idle', run: () => undefined })
    const errand = createErrand({
      store: sqlite(join(folder, 'jobs.db')),
      tasks: [idle],
      queues: { '*': {} },
    })
    const server = await listen(manager(errand), { port: 0 })
    t.after(async () => {
      await server.close({ grace: 0 })
      await errand.close()
      await rm(folder, { recursive: true })
    })
    const nameOf = (n: number): string => `tenant-${String(n).padStart(5, '0')}`
    for (let from = 0; from < count; from += 1_000) {
      const numbers = Array.from({ length: 1_000 }, (_, n) => from + n)
      await errand.enqueueMany(numbers.map((n) => [idle, undefined, { queue: nameOf(n) }] as const))
    }
    await errand.enqueueMany([1, 2, 3].map(() => [idle, undefined, { queue: 'zz-busy' }] as const))

    const { page, faults } = await watch(browser)
    t.after(() => page.context().close())
    const sizes: Promise<readonly [string, number]>[] = []
    page.on('response', (response) => {
      const { pathname } = new URL(response.url())
      if (!pathname.startsWith('/v1/') || pathname === '/v1/events') return
      // An answer whose page has gone meanwhile has no body any more.
      const size = response.body().then(
        (body) => [pathname, body.byteLength] as const,
        () => [pathname, 0] as const,
      )
      sizes.push(size)
    })

    // The overview has all of them in its sums, and the busiest in its table.
    await page.goto(`${server.url}/`)
    await page.getByRole('link', { name: /10,003\s*ready/ }).waitFor()
    const table = page.getByRole('region', { name: 'Queues' })
    await table.getByRole('row', { name: /zz-busy/ }).waitFor()
    assert.equal(await table.locator('tbody tr').count(), 12)
    await rowsOf(page)

    // The page of queues begins with a hundred, and shows more when asked to.
    await page.goto(`${server.url}/#/queues`)
    await page.getByRole('row', { name: nameOf(0) }).waitFor()
    assert.equal(await rowsOf(page), 100)
    await page.getByRole('button', { name: 'Show more of 10,001' }).click()
    await page.getByRole('row', { name: nameOf(150) }).waitFor()
    assert.equal(await rowsOf(page), 200)

    // Any of them is found by a part of its name, and can be told something.
    await page.keyboard.press('/')
    await page.keyboard.type('t-09876')
    await page.getByRole('row', { name: nameOf(9_876) }).waitFor()
    await page.getByRole('row', { name: nameOf(0) }).waitFor({ state: 'detached' })
    assert.equal(await rowsOf(page), 1)
    await page.getByRole('button', { name: 'Pause' }).click()
    await page.getByText('paused', { exact: true }).waitFor()
    const found = (await errand.queues.list()).filter(({ paused }) => paused)
    assert.deepEqual(
      found.map(({ name }) => name),
      [nameOf(9_876)],
    )
    await page.getByLabel('Find').fill('nobody has this name')
    await page.getByText('No queue has that in its name.').waitFor()
    await page.getByLabel('Find').fill('')
    await page.getByRole('row', { name: nameOf(0) }).waitFor()

    const answers = await Promise.all(sizes)
    for (const path of ['/v1/queues', '/v1/stats/all'])
      assert.ok(
        answers.some(([one, bytes]) => one === path && bytes > 0),
        path,
      )
    for (const [path, bytes] of answers)
      assert.ok(bytes <= bounds.answerBytes, `${path}: ${bytes} bytes`)
    assert.deepEqual(faults, [])
  },
)
