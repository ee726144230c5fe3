/** Every dialog and form, and what it says when something is wrong, as axe sees it in light and in dark. */
import assert from 'node:assert/strict'
import { after, suite, test } from 'node:test'
import type { Page } from 'playwright-core'
import { createErrand } from 'errand'
import { listen, manager } from 'errand/manager'
import { memory } from 'errand/memory'
import { barriers } from './axe.ts'
import { openBrowser, scene, watch } from './browser.ts'

const browser = await openBrowser()
after(() => browser?.close())

suite('dialogs and forms', { skip: browser === null }, () => {
  if (browser === null) return

  test('axe finds no serious barrier in any of them', async (t) => {
    const { errand, url } = await scene(t, memory())
    await errand.control.pause({ group: 'nobody' }, { note: 'upgrade' })
    const [failed] = (await errand.jobs.list({ state: 'failed' })).jobs
    const [copied] = (await errand.jobs.list({ task: 'images.resize' })).jobs
    const press = (page: Page, name: string | RegExp) =>
      page.getByRole('button', { name }).first().click()
    const views: readonly (readonly [string, (page: Page) => Promise<unknown>])[] = [
      [
        'workflows',
        async (page) => {
          await press(page, 'Start import…')
          await page.getByLabel('from *').fill('1')
        },
      ],
      ['schedules/reports.nightly', (page) => press(page, 'Pause…')],
      [
        'schedules/reports.nightly',
        async (page) => {
          await press(page, 'Backfill…')
          await page.getByLabel('From').fill('2026-03-04T00:00')
          await page.getByLabel('To').fill('2026-03-01T00:00')
          await press(page, 'Add the missing jobs')
          await page.getByRole('alert').waitFor()
        },
      ],
      ['fleet', (page) => page.getByLabel('Tell all workers').selectOption('drain')],
      [`jobs/${failed?.id}`, (page) => press(page, 'Remove')],
      [`jobs/${copied?.id}`, (page) => press(page, 'Run a copy…')],
      [
        `jobs/${failed?.id}`,
        async (page) => {
          await press(page, 'Run a copy…')
          await page.getByLabel('Input as JSON').fill('{')
          await press(page, 'Add the job')
          await page.getByRole('alert').waitFor()
        },
      ],
      ['jobs?state=failed', (page) => press(page, 'Remove all that match')],
      [
        'tokens',
        async (page) => {
          await press(page, 'Make')
          await page.getByText('A token needs a scope').waitFor()
        },
      ],
    ]
    for (const colorScheme of ['light', 'dark'] as const) {
      const { page, faults } = await watch(browser, { colorScheme })
      for (const [path, show] of views) {
        // Each from anew, without what was opened before.
        await page.goto('about:blank')
        await page.goto(`${url}#/${path}`)
        await show(page)
        await page.locator('dialog[open], .notice').first().waitFor()
        assert.deepEqual(await barriers(page, 'dialog[open]'), [], `${path} ${colorScheme}`)
      }
      assert.deepEqual(faults, [])
      await page.context().close()
    }
  })

  test('nor where a token is shown, and asked for', async (t) => {
    const errand = createErrand({ store: memory() })
    const server = await listen(manager(errand), { port: 0 })
    t.after(() => server.close({ grace: 0 }).then(() => errand.close()))
    const { page } = await watch(browser)
    t.after(() => page.context().close())
    await page.goto(`${server.url}/#/tokens`)
    await page.getByLabel(/^admin /).check()
    await page.getByRole('button', { name: 'Make' }).click()
    await page.getByText('From now on everybody needs a token').waitFor()
    await page.getByText('The token, shown this once:').waitFor()
    await page.getByLabel('Token').fill('wrong')
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.getByRole('alert').waitFor()
    assert.deepEqual(await barriers(page), [])
  })
})
