/** Each page and action of the dashboard in a real browser, over every kind of store. */
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, suite, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import type { Page } from 'playwright-core'
import { postgres as postgresStore } from 'errand/postgres'
import { redis as redisStore } from 'errand/redis'
import { sqlite } from 'errand/sqlite'
import type { Store } from 'errand'
import { findPostgres } from '../postgres-server.ts'
import { findRedis } from '../redis-server.ts'
import { nasty, openBrowser, scene, watch } from './browser.ts'

const browser = await openBrowser()
const postgres = await findPostgres()
const redis = await findRedis()
after(async () => {
  await browser?.close()
  await postgres?.stop()
  await redis?.stop()
})

type Make = () => Promise<Store> | Store

const stores: Record<string, Make> = {
  async sqlite() {
    const folder = await mkdtemp(join(tmpdir(), 'errand-dashboard-'))
    // After the app of the test is closed.
    after(() => rm(folder, { recursive: true }))
    return sqlite(join(folder, 'jobs.db'))
  },
}
if (postgres !== null)
  stores['postgres'] = () => postgresStore(postgres.url, { schema: `dashboard_${process.pid}` })
if (redis !== null)
  stores['redis'] = () => redisStore(redis.url, { prefix: `dashboard-${process.pid}` })

/** Waits until an element that holds a text can be seen. */
async function sees(page: Page, text: string | RegExp): Promise<void> {
  await page.getByText(text).first().waitFor()
}

/** Goes to a page by its link in the menu. */
async function open(page: Page, name: string): Promise<void> {
  await page.getByRole('navigation').getByRole('link', { name, exact: true }).click()
  await page.getByRole('heading', { level: 1 }).waitFor()
}

for (const [name, make] of Object.entries(stores))
  suite(`dashboard on ${name}`, { skip: browser === null }, () => {
    if (browser === null) return

    test('every page shows what is there, and each action does what it says', async (t) => {
      const { errand, url } = await scene(t, await make())
      const { page, faults } = await watch(browser)
      t.after(() => page.context().close())
      await page.goto(url)

      // Overview
      await sees(page, 'nobody consumes this')
      await page
        .getByRole('link', { name: /4\s*failed|2\s*failed/ })
        .first()
        .waitFor()
      await page.getByText('Live', { exact: true }).waitFor()

      // Queues
      await open(page, 'Queues')
      const mail = page.getByRole('row', { name: /mail/ })
      await mail.getByRole('button', { name: 'Pause' }).click()
      await mail.getByText('paused').waitFor()
      assert.equal((await errand.queues.list()).find((one) => one.name === 'mail')?.paused, true)
      await mail.getByRole('button', { name: 'Resume' }).click()
      await mail.getByRole('button', { name: 'Pause' }).waitFor()

      // Jobs: filters live in the URL
      await open(page, 'Jobs')
      await page.getByRole('button', { name: 'failed', exact: true }).click()
      await page.waitForURL(/state=failed/)
      await page.getByRole('row', { name: /bad@example\.com/ }).waitFor()
      await page.getByRole('button', { name: 'failed', exact: true }).click()
      await page.getByLabel('Inside the input').fill('to = bad@example.com')
      await page.getByRole('button', { name: 'Find' }).click()
      await page.waitForURL(/input=to%3Dbad/)
      await page.getByRole('row', { name: /bad@example\.com/ }).waitFor()
      assert.equal(await page.getByRole('row').count(), 2)
      await sees(page, /\d+ jobs scanned, which is all/)

      // One job
      await page.locator('tbody [data-row]').first().click()
      await page.getByRole('heading', { name: 'Attempts' }).waitFor()
      await sees(page, 'the server of bad@example.com is slow')
      const [failed] = (
        await errand.jobs.list({ state: 'failed', search: inputTo('bad@example.com') })
      ).jobs
      await page.getByRole('button', { name: 'Run again' }).click()
      await sees(page, 'It runs again.')
      await page.locator('section table tbody tr').nth(1).waitFor()
      assert.equal((await errand.jobs.get(failed?.id ?? ''))?.runs.length, 2)

      // A copy with another input
      await page.getByRole('button', { name: 'Run a copy…' }).click()
      await page.getByLabel('Input as JSON').fill('{"to": "copy@example.com"}')
      await page.getByRole('button', { name: 'Add the job' }).click()
      await sees(page, /"sent": "copy@example.com"/)

      // Cancel what runs
      const [running] = (await errand.jobs.list({ state: 'running' })).jobs
      await page.goto(`${url}#/jobs/${running?.id}`)
      await page.getByRole('button', { name: 'Cancel' }).click()
      await page.locator('.badge.is-cancelled').first().waitFor()

      // Remove, after a question
      await page.getByRole('button', { name: 'Remove' }).click()
      await page.getByRole('dialog').getByRole('button', { name: 'Remove' }).click()
      await page.waitForURL(/#\/jobs$/)
      assert.equal(await errand.jobs.get(running?.id ?? ''), null)

      // All that match
      await page.goto(`${url}#/jobs?state=failed`)
      await page.getByRole('button', { name: 'Remove all that match' }).click()
      const dialog = page.getByRole('dialog')
      await dialog.getByRole('button', { name: /^Remove \d+ jobs$/ }).click()
      await dialog.getByText(/2 removed/).waitFor()
      await dialog.getByRole('button', { name: 'Close' }).click()
      await sees(page, 'No job matches.')
      assert.equal((await errand.jobs.list({ state: 'failed' })).jobs.length, 0)

      // A choice of some
      await page.goto(`${url}#/jobs?state=scheduled`)
      await page.locator('tbody input[type=checkbox]').first().check()
      await page.getByRole('button', { name: 'Cancel 1' }).click()
      await page
        .getByRole('dialog')
        .getByRole('button', { name: /^Cancel 1 job/ })
        .click()
      await page.getByRole('dialog').getByText('1 cancelled').waitFor()
      await page.getByRole('dialog').getByRole('button', { name: 'Close' }).click()

      // Workflows
      await open(page, 'Workflows')
      await page.locator('tbody [data-row]').first().click()
      await page.getByRole('img', { name: /A graph of 6 nodes/ }).waitFor()
      assert.equal(await page.locator('svg .node.is-completed').count(), 6)

      // Schedules
      await open(page, 'Schedules')
      await page.getByRole('link', { name: 'reports.nightly' }).click()
      await page.getByRole('button', { name: 'Pause…' }).click()
      await page.getByLabel('Why, for others').fill(nasty.replace('\u0007', ''))
      await page.getByRole('dialog').getByRole('button', { name: 'Pause' }).click()
      await page.getByText(/Paused .*<img src=x/).waitFor()
      await page.getByRole('button', { name: 'Resume' }).click()
      await page.getByRole('button', { name: 'Trigger now' }).click()
      await sees(page, 'team@example.com')

      // Workers, singletons
      await open(page, 'Workers')
      await page.locator('.badge.is-running').first().waitFor()
      await page.getByLabel('Tell all workers').selectOption('pause')
      await page.getByRole('dialog').getByRole('button', { name: 'Pause' }).click()
      await page.getByText('paused: control').waitFor()
      await page.getByRole('button', { name: 'Take back' }).click()
      await sees(page, 'Nothing: all of them work.')
      await open(page, 'Singletons')
      await sees(page, 'poller')

      // The API page calls a task by a form made of its schema
      await open(page, 'API')
      await page.getByRole('link', { name: 'images.resize' }).click()
      await page.getByLabel('path *').fill('form.png')
      await page.getByLabel('width *').fill('-1')
      await page.getByLabel('mode *').selectOption('fill')
      await page.getByRole('button', { name: 'Add a job' }).click()
      await page.getByRole('alert').getByText(/width/).waitFor()
      await page.getByLabel('width *').fill('7')
      await page.getByRole('button', { name: 'Add a job' }).click()
      await page.getByText(/^Added/).waitFor()
      const found = await errand.jobs.list({
        search: { in: 'input', path: ['path'], equals: 'form.png' },
      })
      assert.deepEqual(found.jobs[0]?.input, { path: 'form.png', width: 7, mode: 'fill' })

      assert.deepEqual(faults, [])
    })
  })

function inputTo(to: string) {
  return { in: 'input', path: ['to'], equals: to } as const
}

test('the whole page is at most 60 KB gzipped, without code or style inside the markup', async () => {
  const folder = join(import.meta.dirname, '../../dashboard/dist')
  const files = await Promise.all(
    ['index.html', 'app.js', 'app.css', 'icon.svg'].map((file) =>
      readFile(join(folder, file), 'utf8'),
    ),
  )
  const bytes = files.reduce((sum, text) => sum + gzipSync(text).length, 0)
  assert.ok(bytes <= 60 * 1_024, `${bytes} bytes`)
  assert.doesNotMatch(files[0] ?? '', /<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=|https?:/)
})
