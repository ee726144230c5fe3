/**
 * `npm run dashboard:shots -- <folder>`: pictures of every page, in light and dark colours and on a phone, over an app with jobs
 * in many states. `npm run dashboard:shots -- docs` makes those of the documents.
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { memory } from 'errand/memory'
import { openBrowser, scene, watch } from './browser.ts'

const wanted = process.argv[2] ?? 'dashboard-shots'
const folder = wanted === 'docs' ? join(import.meta.dirname, '../../docs/images') : wanted
mkdirSync(folder, { recursive: true })

const wide = { width: 1280, height: 860 }
const looks = {
  light: { colorScheme: 'light', viewport: wide },
  dark: { colorScheme: 'dark', viewport: wide },
  phone: { colorScheme: 'light', viewport: { width: 390, height: 844 } },
} as const

/** The pictures of the documents, by look and page; their overview has charts, so it was taken of an app that ran for minutes. */
const ofDocuments = new Set(['dark-job', 'light-workflow', 'phone-jobs'])

test('pictures', async (context) => {
  const browser = await openBrowser()
  if (browser === null) return
  const { errand, url } = await scene(context, memory())
  const { jobs } = await errand.jobs.list({ state: 'failed' })
  const { runs } = await errand.workflows.list({})
  const pages = {
    overview: '',
    jobs: 'jobs',
    job: `jobs/${jobs[0]?.id}`,
    queues: 'queues',
    workflows: 'workflows',
    workflow: `workflows/${runs[0]?.id}`,
    schedules: 'schedules/reports.nightly',
    workers: 'fleet',
    singletons: 'singletons',
    api: 'api/images.resize',
    tokens: 'tokens',
  }
  for (const [look, options] of Object.entries(looks)) {
    const { page } = await watch(browser, options)
    await page.goto(url)
    for (const [name, path] of Object.entries(pages)) {
      if (wanted === 'docs' && !ofDocuments.has(`${look}-${name}`)) continue
      await page.goto(`${url}#/${path}`)
      await page.getByRole('heading', { level: 1 }).waitFor()
      await page.getByText('Loading…').first().waitFor({ state: 'detached' })
      await page.getByText('Examining').waitFor({ state: 'detached' })
      await page.screenshot({ path: join(folder, `dashboard-${name}-${look}.png`) })
    }
    await page.context().close()
  }
  await browser.close()
})
