/** Numbers beyond a double in the page: shown as they were sent, and kept in a copy. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, suite, test } from 'node:test'
import { z } from 'zod'
import { createErrand, task, type Store } from 'errand'
import { listen, manager } from 'errand/manager'
import { postgres as postgresStore } from 'errand/postgres'
import { sqlite } from 'errand/sqlite'
import { findPostgres } from '../postgres-server.ts'
import { openBrowser, watch } from './browser.ts'

const browser = await openBrowser()
const postgres = await findPostgres()
after(async () => {
  await browser?.close()
  await postgres?.stop()
})

let files = 0
const folder = await mkdtemp(join(tmpdir(), 'errand-digits-'))
after(() => rm(folder, { recursive: true }))

const stores: Record<string, () => Promise<Store> | Store> = {
  sqlite: () => sqlite(join(folder, `${(files += 1)}.db`)),
}
if (postgres !== null)
  stores['postgres'] = () => postgresStore(postgres.url, { schema: `page_digits_${process.pid}` })

const input = '{"id":9007199254740993,"power":1e400,"share":0.1000000000000000055}'
const plain = z.object({ share: z.number(), ratio: z.number().optional() })

for (const [name, make] of Object.entries(stores))
  suite(`numbers in the page on ${name}`, { skip: browser === null }, () => {
    if (browser === null) return

    test('a job shows the digits that were sent, and a copy of it keeps them', async (t) => {
      const errand = createErrand({
        store: await make(),
        tasks: [
          task({ name: 'keep', run: () => undefined }),
          task({ name: 'form', input: plain, run: () => undefined }),
        ],
        queues: { default: {}, idle: {} },
      })
      const server = await listen(manager(errand, { access: 'open' }), { port: 0 })
      // It tells of its tasks, and takes none of the jobs.
      const worker = errand.worker({ queues: ['idle'] })
      t.after(async () => {
        await server.close({ grace: 0 })
        await worker.stop({ grace: 0 })
        await errand.close()
      })
      await worker.start()
      const send = async (name: string, body: string): Promise<string> => {
        const path = `${server.url}/v1/queues/default/tasks/${name}/jobs`
        const headers = { 'content-type': 'application/json' }
        const response = await fetch(path, { method: 'POST', headers, body })
        return ((await response.json()) as { readonly id: string }).id
      }
      /** The text of what the API says of the newest job. */
      const newest = async (): Promise<string> =>
        (await fetch(`${server.url}/v1/jobs?limit=1`)).text()

      const { page, faults } = await watch(browser)
      t.after(() => page.context().close())
      await page.goto(`${server.url}/#/jobs/${await send('keep', input)}`)
      const shown = page.getByLabel('The input')
      for (const digits of ['9007199254740993', '1e400', '0.1000000000000000055'])
        await shown.getByText(digits).waitFor()

      // As JSON, with another member.
      await page.getByRole('button', { name: 'Run a copy…' }).click()
      const field = page.getByLabel('Input as JSON')
      const text = await field.inputValue()
      await field.fill(text.replace('{', '{"and": 12345678901234567890, '))
      const first = page.url()
      await page.getByRole('button', { name: 'Add the job' }).click()
      await page.waitForURL((url) => url.href !== first)
      await shown.getByText('12345678901234567890').waitFor()
      const copy = await newest()
      assert.ok(copy.includes(`"input":{"and":12345678901234567890,${input.slice(1)}`), copy)

      // By the fields of a schema.
      const formed = await send('form', '{"share":0.1000000000000000055}')
      await page.goto(`${server.url}/#/jobs/${formed}`)
      await shown.getByText('0.1000000000000000055').waitFor()
      await page.getByRole('button', { name: 'Run a copy…' }).click()
      await page.getByLabel('ratio').fill('0.30000000000000000001')
      await page.getByRole('button', { name: 'Add the job' }).click()
      await page.waitForURL((url) => !url.href.includes(formed))
      await shown.getByText('0.30000000000000000001').waitFor()
      const second = await newest()
      const both = '"input":{"share":0.1000000000000000055,"ratio":0.30000000000000000001}'
      assert.ok(second.includes(both), second)

      // The list shows them, too, and finds them.
      await page.goto(`${server.url}/#/jobs?input=id%3D9007199254740993`)
      await page
        .getByRole('row', { name: /9007199254740993/ })
        .first()
        .waitFor()
      assert.equal(await page.locator('tbody [data-row]').count(), 2)
      assert.deepEqual(faults, [])
    })
  })
