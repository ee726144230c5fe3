/** The actions of operators on the pages of tokens, schedules, singletons, workflows and workers, over every kind of store. */
import assert from 'node:assert/strict'
import { hostname } from 'node:os'
import { after, suite, test, type TestContext } from 'node:test'
import type { Browser, Locator, Page } from 'playwright-core'
import type { SourceRecord, WorkerInfo } from 'errand'
import { eventually } from '../sources/eventually.ts'
import { openBrowser, watch } from './browser.ts'
import { findPlaces } from './places.ts'
import { stage, type Stage } from './stage.ts'

const browser = await openBrowser()
const places = await findPlaces('actions')
after(() => browser?.close())

interface Act {
  readonly page: Page
  readonly set: Stage
}

for (const [name, place] of Object.entries(places))
  suite(`actions on ${name}`, { skip: browser === null }, () => {
    if (browser === null) return

    test('workflows, schedules, singletons, workers and tokens do what each control says', async (t) => {
      const act = await opened(t, browser, await stage(t, await place()))
      await workflows(act)
      await schedules(act)
      await singletons(act)
      await sources(act)
      await jobs(act)
      await workers(act)
      await forgotten(act)
      await tokens(act)
    })
  })

async function opened(t: TestContext, program: Browser, set: Stage): Promise<Act> {
  const { page, faults } = await watch(program, { timezoneId: 'UTC' })
  t.after(async () => {
    await page.context().close()
    assert.deepEqual(faults, [])
  })
  await page.goto(set.url)
  return { page, set }
}

/** Goes to a page by its link in the menu. */
async function open(page: Page, name: string): Promise<void> {
  await page.getByRole('navigation').getByRole('link', { name, exact: true }).click()
  await page.getByRole('heading', { level: 1, name }).waitFor()
}

async function click(at: Page | Locator, name: string): Promise<void> {
  await at.getByRole('button', { name, exact: true }).click()
}

/** Started by a form of the input's schema, cancelled, and what failed is run again; the graph has the states. */
async function workflows({ page, set: { errand, heal } }: Act): Promise<void> {
  const start = async (version: string, kind: string): Promise<void> => {
    await open(page, 'Workflows')
    await click(page, 'Start deploy…')
    await page.getByLabel('version *').fill(version)
    await page.getByLabel('kind *').selectOption(kind)
    await click(page.getByRole('dialog'), 'Start')
  }
  const node = (state: string): Locator => page.locator(`svg .node.is-${state}`)

  await start('-1', 'fails')
  await page
    .getByRole('alert')
    .getByText(/version/)
    .waitFor()
  assert.deepEqual((await errand.workflows.list()).runs, [])
  assert.deepEqual((await errand.jobs.list()).jobs, [])
  await page.keyboard.press('Escape')

  await start('1', 'fails')
  await page.waitForURL(/#\/workflows\/[0-9a-f-]{36}$/)
  await page.getByRole('img', { name: 'A graph of 4 nodes' }).waitFor()
  await node('failed').first().waitFor()
  await node('cancelled').first().waitFor()
  assert.equal(await node('completed').count(), 1)
  heal()
  await click(page, 'Retry what failed')
  await node('completed').nth(3).waitFor()
  const [run] = (await errand.workflows.list()).runs
  assert.equal(run?.state, 'completed')
  assert.equal((await errand.workflows.nodes(run?.id ?? '')).length, 4)
  // From a node to its job, and from there back to the run.
  await node('completed').first().click()
  await page.waitForURL(/#\/jobs\//)
  await page.getByRole('link', { name: 'as a workflow' }).click()
  await page.getByRole('link', { name: 'the job at its end' }).waitFor()

  await start('2', 'waits')
  await node('running').first().waitFor()
  await click(page, 'Cancel')
  await click(page.getByRole('dialog'), 'Keep')
  await click(page, 'Cancel')
  await click(page.getByRole('dialog'), 'Cancel the run')
  await node('cancelled').nth(2).waitFor()
  const [cancelled] = (await errand.workflows.list()).runs
  assert.equal(cancelled?.state, 'cancelled')
}

/** Paused with a note, resumed, fired out of turn, made up for. */
async function schedules({ page, set: { errand } }: Act): Promise<void> {
  await open(page, 'Schedules')
  await page.getByRole('link', { name: 'daily' }).click()
  assert.equal(await page.getByRole('button', { name: 'Remove' }).count(), 0)
  await click(page, 'Pause…')
  await page.getByLabel('Why, for others').fill('until the move')
  await click(page.getByRole('dialog'), 'Pause')
  await page.getByText(/^Paused .*: until the move$/).waitFor()
  const { paused } = await errand.schedules.get('daily')
  assert.equal(paused?.note, 'until the move')
  await click(page, 'Resume')
  await page.getByRole('button', { name: 'Pause…' }).waitFor()
  assert.equal((await errand.schedules.get('daily')).paused, null)

  await click(page, 'Trigger now')
  await page.getByText('"said": "day"').waitFor()
  await page.getByRole('link', { name: 'daily' }).click()

  // A range that cannot be is said where it was typed, and stays there.
  await click(page, 'Backfill…')
  const dialog = page.getByRole('dialog')
  await dialog.getByLabel('From').fill('2026-03-04T00:00')
  await dialog.getByLabel('To').fill('2026-03-01T00:00')
  await click(dialog, 'Add the missing jobs')
  await dialog.getByRole('alert').getByText('must be later').waitFor()
  await dialog.getByLabel('To').fill('2026-03-07T00:00')
  await click(dialog, 'Add the missing jobs')
  await page.getByText('The missing jobs are added.').waitFor()
  const made = await errand.jobs.list({ schedule: 'daily' })
  const planned = made.jobs.flatMap(({ plannedAt }) => plannedAt?.toISOString().slice(0, 10) ?? [])
  assert.deepEqual(planned.filter((day) => day.startsWith('2026-03')).toSorted(), [
    '2026-03-04',
    '2026-03-05',
    '2026-03-06',
  ])
  await page.getByRole('link', { name: 'Close' }).click()
  await page.waitForURL(/#\/schedules$/)
}

/** Who owns it, since when, that it succeeded; its rest is cut short. */
async function singletons({ page, set: { rounds } }: Act): Promise<void> {
  await open(page, 'Singletons')
  const row = page.getByRole('row', { name: /beat/ })
  await row.getByText(`${hostname()} · ${process.pid}`).waitFor()
  // Since, and the last success.
  await row.locator('td:nth-child(3) time').waitFor()
  const success = row.locator('td:nth-child(5) time')
  const before = await success.getAttribute('datetime')
  assert.equal(rounds(), 1)
  await click(row, 'Run now')
  await page.getByText('It is told.').waitFor()
  await eventually(() => assert.equal(rounds(), 2))
  await page.reload()
  await eventually(async () => assert.notEqual(await success.getAttribute('datetime'), before))
}

/** Those of another process, as they are. */
async function sources({ page, set: { shelf, errand } }: Act): Promise<void> {
  // What is true of all workers that tell of the source.
  const told = (is: (source: SourceRecord) => boolean): Promise<void> =>
    eventually(async () => {
      const all = (await errand.workers.list()).flatMap((worker) => worker.sources)
      assert.ok(all.length === 2 && all.every(is))
    })
  shelf.put(JSON.stringify({ name: 'greet', input: { name: 'message' } }), 'one')
  shelf.put('no job', 'two')
  await told(({ stored, parked }) => stored + parked === 2)
  await open(page, 'Workers')
  const table = page.getByRole('region', { name: 'Sources' })
  await table.getByRole('row', { name: /^shelf .* connected 1 0 1/ }).waitFor()
  // Both workers of the process tell of it.
  assert.equal(await table.getByRole('row').count(), 2)
  shelf.refuses = new Error('the shelf is away')
  shelf.cut()
  await told(({ failures }) => failures > 0)
  await page.reload()
  await table.getByText('Error: the shelf is away').first().waitFor()
  await table
    .getByText(/failures in a row/)
    .first()
    .waitFor()
}

/** One, a group and all are paused, go on, drain, restart and stop. */
async function workers({ page, set: { errand, workers: those } }: Act): Promise<void> {
  const orders = page.getByRole('region', { name: 'Orders' })
  const rowOf = (group: string): Locator =>
    page.getByRole('region', { name: 'Workers', exact: true }).getByRole('row', { name: group })
  const tell = async (select: Locator, verb: string): Promise<void> => {
    await select.selectOption(verb)
    await click(page.getByRole('dialog'), `${verb.charAt(0).toUpperCase()}${verb.slice(1)}`)
  }
  const oneOf = (group: string): Locator => rowOf(group).getByLabel(/^Tell /)
  /** Looks anew once it is so; the page would by itself within three seconds. */
  const look = async (is: (worker: WorkerInfo) => boolean): Promise<void> => {
    await eventually(async () => assert.ok((await errand.workers.list()).every(is)))
    await page.reload()
  }
  const isTold = (verb: string, target: object): Promise<void> =>
    eventually(async () => {
      const last = (await errand.control.list()).at(-1)
      assert.deepEqual([last?.verb, last?.target], [verb, target])
    })

  await open(page, 'Workers')
  // A pause of one worker, asked about first, taken back.
  await oneOf('day').selectOption('pause')
  await click(page.getByRole('dialog'), 'Keep')
  await tell(oneOf('day'), 'pause')
  await look(({ group, paused }) => (group === 'day') === paused.includes('control'))
  await rowOf('day').getByText('paused: control').waitFor()
  await click(orders, 'Take back')
  await look(({ paused }) => paused.length === 0)
  await rowOf('day').waitFor()
  assert.equal(await page.getByText('paused: control').count(), 0)

  await page.getByLabel(/^For /).selectOption('night')
  await tell(page.getByLabel('Tell the group night'), 'drain')
  await isTold('drain', { group: 'night' })
  await tell(oneOf('day'), 'stop')
  await isTold('stop', { worker: those.day.id })
  await tell(oneOf('home'), 'restart')
  await isTold('restart', { worker: those.home.id })
  await look(({ state }) => state === 'stopped')
  for (const group of ['night', 'day', 'home']) await rowOf(group).getByText('stopped').waitFor()
  // Orders to those that come later are in force until they are taken back.
  const takeBack = orders.getByRole('button', { name: 'Take back' })
  for (let left = await takeBack.count(); left > 0; left = await takeBack.count()) {
    await takeBack.first().click()
    await eventually(async () => assert.ok((await takeBack.count()) < left))
  }
  await page.getByText('Nothing: all of them work.').waitFor()
}

/** A schedule that no living code declares can be removed, and so can an operator's own. */
async function forgotten({ page, set: { errand } }: Act): Promise<void> {
  await open(page, 'Schedules')
  await page.getByText('no living code declares it').nth(1).waitFor()
  await page.getByRole('link', { name: 'old' }).click()
  await click(page, 'Remove')
  await click(page.getByRole('dialog'), 'Remove')
  await page.waitForURL(/#\/schedules$/)
  await page.getByRole('link', { name: 'old' }).waitFor({ state: 'detached' })
  const left = await errand.schedules.list()
  assert.deepEqual(
    left.map(({ name }) => name),
    ['daily'],
  )
}

/** The verbs and filters of jobs that the tour of all pages leaves out. */
async function jobs({ page, set: { errand } }: Act): Promise<void> {
  await open(page, 'Jobs')
  await page.getByText('More filters').click()
  await page.getByLabel('Inside the output').fill('said = message')
  await click(page, 'Find')
  await page.waitForURL(/output=said%3Dmessage/)
  await page.getByText(/jobs scanned, which is all/).waitFor()
  assert.equal(await page.locator('tbody [data-row]').count(), 1)

  // A copy by the form of the task's schema.
  await page.locator('tbody [data-row]').click()
  await click(page, 'Run a copy…')
  const dialog = page.getByRole('dialog')
  assert.equal(await dialog.getByLabel('name *').inputValue(), 'message')
  await dialog.getByLabel('name *').fill('copy')
  await dialog.getByLabel('loud').check()
  await click(dialog, 'Write it as JSON')
  assert.deepEqual(JSON.parse(await dialog.getByLabel('Input as JSON').inputValue()), {
    name: 'copy',
    loud: true,
  })
  await click(dialog, 'Use the form')
  await click(dialog, 'Add the job')
  await page.getByText('"said": "COPY"').waitFor()

  // All of one page are chosen, some of them fit the verb.
  const cancelled = await errand.jobs.list({ state: 'cancelled' })
  await page.goto(page.url().replace(/#.*/, '#/jobs?state=cancelled'))
  await page.getByLabel('Choose all of this page').check()
  await click(page, `Retry ${cancelled.jobs.length}`)
  await click(dialog, `Retry ${cancelled.jobs.length} jobs`)
  await dialog.getByText(/\d retried/).waitFor()
  await click(dialog, 'Close')
  await page.goto(page.url().replace(/#.*/, '#/jobs?state=running'))
  await page.locator('tbody [data-row]').first().waitFor()
  await click(page, 'Cancel all that match')
  await click(dialog, 'Cancel 1 job')
  await dialog.getByText('1 asked to end').waitFor()
  await click(dialog, 'Close')
  await page.getByRole('link', { name: 'Clear' }).click()
  await page.waitForURL(/#\/jobs$/)
}

/** Made with scopes and queues, shown once, used to sign in, revoked. */
async function tokens({ page, set: { url } }: Act): Promise<void> {
  const shown = page.getByText('The token, shown this once:').locator('code')
  const make = async (name: string, scopes: readonly string[], queues: string): Promise<string> => {
    for (const scope of scopes) await page.getByLabel(new RegExp(`^${scope} `)).check()
    await page.getByLabel('Name').fill(name)
    await page.getByLabel('Only on these queues').fill(queues)
    await click(page, 'Make')
    return (await shown.textContent()) ?? ''
  }
  const ask = async (token: string, path: string, method = 'GET'): Promise<number> => {
    const headers = { authorization: `Bearer ${token}` }
    return (await fetch(new URL(path, url), { method, headers })).status
  }

  await open(page, 'Tokens')
  await page.getByText('No token exists').waitFor()
  await click(page, 'Make')
  await page.getByText('A token needs a scope').waitFor()
  // The first token ends the time in which nobody needed one, and is shown all the same.
  const all = ['read', 'enqueue', 'operate', 'admin']
  const chief = await make('chief', all, '')
  await page.getByText('From now on everybody needs a token').waitFor()
  await page.getByLabel('Token').fill(chief)
  await click(page, 'Sign in')
  const rowOf = (name: string): Locator => page.getByRole('row', { name })
  await rowOf('chief').getByText(all.join(', ')).waitFor()
  assert.equal(await shown.count(), 0)

  const mail = await make('mail', ['read', 'operate'], 'mail, post')
  await rowOf('mail').getByText('mail, post').waitFor()
  assert.equal(await ask(mail, 'v1/queues/mail/pause', 'POST'), 204)
  assert.equal(await ask(mail, 'v1/queues/default/pause', 'POST'), 403)
  assert.equal(await ask(mail, 'v1/tokens'), 403)
  await page.reload()
  await rowOf('mail').waitFor()
  assert.equal(await shown.count(), 0)

  await click(rowOf('mail'), 'Revoke')
  await click(page.getByRole('dialog'), 'Keep')
  assert.equal(await ask(mail, 'v1/queues'), 200)
  await click(rowOf('mail'), 'Revoke')
  await click(page.getByRole('dialog'), 'Revoke')
  await rowOf('mail').waitFor({ state: 'detached' })
  const end = performance.now() + 10_000
  while ((await ask(mail, 'v1/queues')) !== 401) assert.ok(performance.now() < end)

  await click(page, 'Sign out')
  await page.getByRole('button', { name: 'Sign in' }).waitFor()
  assert.equal(await page.evaluate(`fetch('v1/session').then(({ status }) => status)`), 401)
}
