/** The dashboard for all people: screen readers, keyboards, phones, hostile texts, a manager that goes away. */
import assert from 'node:assert/strict'
import { after, suite, test } from 'node:test'
import { createErrand, task } from 'errand'
import { listen, manager } from 'errand/manager'
import { memory } from 'errand/memory'
import { barriers } from './axe.ts'
import { nasty, openBrowser, scene, watch } from './browser.ts'

const browser = await openBrowser()
after(() => browser?.close())

suite('people', { skip: browser === null }, () => {
  if (browser === null) return

  test('axe finds no serious barrier on any page, light, dark and on a phone', async (t) => {
    const { errand, url } = await scene(t, memory())
    const { jobs } = await errand.jobs.list({ state: 'failed' })
    const { runs } = await errand.workflows.list({})
    const paths = [
      '',
      'jobs',
      `jobs/${jobs[0]?.id}`,
      'queues',
      'workflows',
      `workflows/${runs[0]?.id}`,
      'schedules/reports.nightly',
      'fleet',
      'singletons',
      'api/images.resize',
      'tokens',
      'nowhere',
    ]
    for (const colorScheme of ['light', 'dark'] as const) {
      const viewport =
        colorScheme === 'dark' ? { width: 390, height: 800 } : { width: 1280, height: 900 }
      const { page, faults } = await watch(browser, { colorScheme, viewport })
      await page.goto(url)
      for (const path of paths) {
        await page.goto(`${url}#/${path}`)
        await page.getByRole('heading', { level: 1 }).waitFor()
        await page.getByText('Loading…').first().waitFor({ state: 'detached' })
        assert.deepEqual(await barriers(page), [], `${path} ${colorScheme}`)
        const { scroll, width } = (await page.evaluate(
          `({ scroll: document.documentElement.scrollWidth, width: innerWidth })`,
        )) as { scroll: number; width: number }
        assert.ok(scroll <= width, `${path} is ${scroll} wide on ${width}`)
      }
      assert.deepEqual(faults, [])
      await page.context().close()
    }
  })

  test('the keyboard goes everywhere', async (t) => {
    const { url } = await scene(t, memory())
    const { page } = await watch(browser)
    t.after(() => page.context().close())
    await page.goto(url)
    await page.getByRole('heading', { name: 'Overview' }).waitFor()
    await page.keyboard.press('g')
    await page.keyboard.press('j')
    await page.getByRole('heading', { name: 'Jobs' }).waitFor()
    await page.locator('tbody [data-row]').nth(1).waitFor()
    await page.keyboard.press('/')
    assert.equal(await page.evaluate(`document.activeElement.name`), 'task')
    await page.keyboard.type('mail.send')
    await page.keyboard.press('Enter')
    await page.waitForURL(/task=mail\.send/)
    await page.locator('tbody [data-row]').nth(1).waitFor()
    await page.evaluate(`document.activeElement.blur()`)
    await page.keyboard.press('j')
    await page.keyboard.press('j')
    await page.keyboard.press('k')
    const second = page.locator('tbody [data-row]').first()
    assert.equal(
      await page.evaluate(`document.activeElement.href`),
      await second.evaluate((link) => (link as unknown as { href: string }).href),
    )
    await page.keyboard.press('Enter')
    await page.waitForURL(/#\/jobs\/[0-9a-f-]{36}$/)
  })

  test('names, payloads and errors with markup, controls and a megabyte are shown as text', async (t) => {
    const store = memory()
    const errand = createErrand({
      store,
      tasks: [
        task({
          name: 'odd',
          retry: 'never',
          run: (input: { text: string }) => {
            throw new Error(`${nasty} ${input.text.slice(0, 10)}`)
          },
        }),
      ],
    })
    const server = await listen(manager(errand), { port: 0 })
    const worker = errand.worker()
    t.after(async () => {
      await server.close({ grace: 0 })
      await worker.stop({ grace: 0 })
      await errand.close()
    })
    await worker.start()
    const name = nasty.replace('\u0007', '')
    const job = await errand.enqueue(
      'odd',
      { text: nasty + 'x'.repeat(1_000_000) },
      { tags: [name], unique: { key: name } },
    )
    await job.result({ timeout: '20s' }).catch(() => undefined)
    const { page, faults } = await watch(browser)
    t.after(() => page.context().close())
    await page.goto(`${server.url}/#/jobs/${job.id}`)
    await page.getByRole('heading', { name: 'Errors' }).waitFor()
    await page.getByRole('button', { name: /Show all 97\d KiB/ }).click()
    await page.goto(`${server.url}/#/jobs?tag=${encodeURIComponent(name)}`)
    await page.locator('tbody [data-row]').first().waitFor()
    assert.equal(await page.locator('img[src="x"]').count(), 0)
    assert.deepEqual(faults, [])
  })

  test('a manager that goes away is told of, and the page goes on when it is back', async (t) => {
    const errand = createErrand({ store: memory() })
    let server = await listen(manager(errand), { port: 0 })
    const port = Number(new URL(server.url).port)
    t.after(() => server.close({ grace: 0 }).then(() => errand.close()))
    const { page } = await watch(browser)
    t.after(() => page.context().close())
    await page.goto(`${server.url}/#/queues`)
    await page.getByText('No queue holds a job yet').waitFor()
    await page.getByText('Live', { exact: true }).waitFor()
    await server.close({ grace: 0 })
    await page.getByText('Connecting…').waitFor()
    server = await listen(manager(errand), { port })
    await page.getByText('Live', { exact: true }).waitFor()
  })
})
