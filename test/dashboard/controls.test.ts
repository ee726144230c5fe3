/** Small controls of the dashboard, which nothing else presses. */
import assert from 'node:assert/strict'
import { after, suite, test } from 'node:test'
import { memory } from 'errand/memory'
import { openBrowser, scene, watch } from './browser.ts'

const browser = await openBrowser()
after(() => browser?.close())

suite('small controls', { skip: browser === null }, () => {
  if (browser === null) return

  test('the first key leads past the pages to the content', async (t) => {
    const { url } = await scene(t, memory())
    const { page } = await watch(browser)
    t.after(() => page.context().close())
    await page.goto(url)
    await page.getByRole('heading', { name: 'Overview' }).waitFor()
    await page.keyboard.press('Tab')
    assert.equal(await page.locator(':focus').innerText(), 'Skip to the content')
    await page.keyboard.press('Enter')
    assert.equal(await page.evaluate('document.activeElement.id'), 'main')
  })

  test('doctor looks again when it is asked to', async (t) => {
    const { errand, url } = await scene(t, memory())
    const { page, faults } = await watch(browser)
    t.after(() => page.context().close())
    await page.goto(url)
    await page
      .locator('.findings')
      .getByText(/forgotten/)
      .waitFor()
    await errand.queues.pause('mail')
    assert.equal(await page.getByText('paused: mail').count(), 0)
    await page.getByRole('button', { name: 'Look again' }).click()
    await page.getByText('paused: mail').waitFor()
    assert.deepEqual(faults, [])
  })

  test('an input is copied whole, and what says so can be dismissed', async (t) => {
    const { errand, url } = await scene(t, memory())
    const permissions = ['clipboard-read', 'clipboard-write']
    const { page, faults } = await watch(browser, { permissions })
    t.after(() => page.context().close())
    const input = { text: 'x'.repeat(30_000) }
    const { id } = await errand.enqueue('part', input, { queue: 'forgotten' })
    await page.goto(`${url}#/jobs/${id}`)
    await page.getByText(/Show all 30 KiB/).waitFor()
    await page.getByRole('button', { name: 'Copy', exact: true }).first().click()
    const notice = page.locator('.notice')
    await notice.getByText('Input is copied.').waitFor()
    const copied: unknown = await page.evaluate('navigator.clipboard.readText()')
    assert.deepEqual(JSON.parse(String(copied)), input)
    await notice.getByRole('button', { name: 'Dismiss' }).click()
    await notice.waitFor({ state: 'detached', timeout: 2_000 })
    assert.deepEqual(faults, [])
  })

  test('runs of workflows are seen page by page, and the newest again', async (t) => {
    const { errand, url } = await scene(t, memory())
    const flow = errand.workflows.find('import')
    const ids: string[] = []
    for (let from = 0; from < 60; from += 1) ids.push((await errand.start(flow, { from })).id)
    const { page, faults } = await watch(browser)
    t.after(() => page.context().close())
    const row = (id = ''): ReturnType<typeof page.locator> => page.locator(`a[title="${id}"]`)
    await page.goto(`${url}#/workflows`)
    await row(ids.at(-1)).waitFor()
    assert.equal(await row(ids[0]).count(), 0)
    await page.getByRole('link', { name: 'Older' }).click()
    await row(ids[0]).waitFor()
    assert.equal(await row(ids.at(-1)).count(), 0)
    await page.getByRole('link', { name: 'Newest' }).click()
    await row(ids.at(-1)).waitFor()
    assert.deepEqual(faults, [])
  })
})
