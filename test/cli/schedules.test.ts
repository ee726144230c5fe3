import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { createErrand, schedule, task, type Errand, type ScheduleInfo } from 'errand'
import { sqlite } from 'errand/sqlite'
import { errand, root, type Ended } from './command-line.ts'

const config = `
import { createErrand, schedule, task } from 'errand'
import { sqlite } from 'errand/sqlite'
const report = task({ name: 'report', run: () => {} })
export default createErrand({
  store: sqlite('errand.db'),
  tasks: [report],
  schedules: [schedule({ name: 'of-code', task: report, cron: '0,30 2 * * *', timezone: 'Europe/Berlin' })],
})
`

suite('schedules', { concurrency: 2 }, () => {
  let folder: string
  let app: Errand
  const run = (...args: readonly string[]): Promise<Ended> =>
    errand(['schedules', ...args, '--store', 'sqlite:errand.db'], { cwd: folder })

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'errand-schedules-'))
    await mkdir(join(folder, 'node_modules'))
    await symlink(root, join(folder, 'node_modules/errand'))
    await writeFile(join(folder, 'package.json'), '{"type":"module"}')
    await writeFile(join(folder, 'errand.config.ts'), config)
    const report = task({ name: 'report', run: () => {} })
    app = createErrand({ store: sqlite(join(folder, 'errand.db')), tasks: [report] })
    const each = { task: report, timezone: 'Europe/Prague' }
    await app.schedules.put(schedule({ name: 'nightly', cron: '0 3 * * MON-FRI', ...each }))
    await app.schedules.put(schedule({ name: 'often', task: report, every: '10m' }))
    const calendar = { minutes: [0, 15, 30, 45], hours: [1, 2, 3, 4, 5, 6, 7, 8, 9] }
    const name = 'a-name-that-is-longer-than-a-column-of-a-narrow-terminal'
    await app.schedules.put(schedule({ name, calendar, ...each }))
    await app.schedules.put(schedule({ name: 'old', cron: '@daily', ...each }))
  })
  after(async () => {
    await app.close()
    await rm(folder, { recursive: true })
  })

  test('list fits a terminal of 80 columns, and show tells all of one', async () => {
    const narrow = encodeURIComponent('Object.assign(process.stdout, { isTTY: true, columns: 80 })')
    const { code, stdout, stderr } = await errand(
      ['schedules', 'list', '--store', 'sqlite:errand.db'],
      { cwd: folder, env: { NODE_OPTIONS: `--import data:text/javascript,${narrow}` } },
    )
    assert.deepEqual([code, stderr], [0, ''])
    const lines = stripVTControlCharacters(stdout).trimEnd().split('\n')
    assert.match(lines[0] ?? '', /^NAME +WHEN +TASK +NEXT +LAST/)
    assert.ok(lines.every((line) => line.length <= 80))
    assert.ok(lines.some((line) => /^nightly .* in [\d.]+ (h|d|min)/.test(line)))
    const shown = await run('show', 'nightly')
    for (const line of [
      /^when +0 3 \* \* MON-FRI Europe\/Prague$/m,
      /^task +report$/m,
      /^owner +operator$/m,
      /^overlap +allow$/m,
      /^next +\d{4}-/m,
      /^ticks run +0$/m,
    ])
      assert.match(shown.stdout, line)
  })

  test('next is a list of ISO instants in UTC, without a worker, also of what nobody has put yet', async () => {
    const from = ['--from', '2026-03-28T12:00:00Z', '-n', '3', '--json']
    const { code, stdout } = await errand(['schedules', 'next', 'of-code', ...from], {
      cwd: folder,
    })
    assert.equal(code, 0)
    assert.deepEqual(JSON.parse(stdout), [
      '2026-03-29T01:00:00.000Z',
      '2026-03-30T00:00:00.000Z',
      '2026-03-30T00:30:00.000Z',
    ])
    const plain = await run('next', 'often', '--from', '2026-03-28T12:01:00Z', '-n', '1')
    assert.match(plain.stdout, /^2026-03-28T12:10:00\.000Z {2}/)
  })

  test('pause says why, and resume lets it fire again', async () => {
    const paused = await run('pause', 'often', '--note', 'until the move')
    assert.deepEqual([paused.code, paused.stdout], [0, 'paused often\n'])
    assert.match((await run('show', 'often')).stdout, /^paused .* until the move$/m)
    const resumed = await run('resume', 'often', '--json')
    assert.deepEqual(JSON.parse(resumed.stdout), { resumed: ['often'] })
    const { paused: still, next }: ScheduleInfo = await app.schedules.get('often')
    assert.equal(still, null)
    assert.notEqual(next, null)
  })

  test('trigger prints the id of a job, backfill makes up ticks, remove leaves their jobs', async () => {
    const { stdout: id } = await run('trigger', 'old')
    assert.equal((await app.jobs.get(id.trim()))?.schedule, 'old')
    const backfilled = await run('backfill', 'old', '--from', '3d')
    assert.deepEqual([backfilled.code, backfilled.stdout], [0, '3 jobs enqueued\n'])
    assert.equal((await run('remove', 'old')).stdout, 'removed old\n')
    assert.equal((await app.jobs.list({ task: 'report' })).jobs.length, 4)
    assert.ok(!(await app.schedules.list()).some(({ name }) => name === 'old'))
  })

  const wrong: Readonly<Record<string, readonly [args: readonly string[], says: RegExp]>> = {
    'a name that is near another': [['show', 'nigtly'], /Did you mean nightly\?/],
    'a count of nothing': [['next', 'often', '-n', '0'], /-n.*whole number from 1 up/],
    'a time that is none': [['next', 'often', '--from', 'soon'], /--from must be a date/],
    'a stretch that runs backwards': [
      ['backfill', 'often', '--from', '1h', '--to', '2h'],
      /--to must be later than --from/,
    ],
  }
  for (const [name, [args, says]] of Object.entries(wrong))
    test(`${name} is one line and exit code 2`, async () => {
      const { code, stdout, stderr } = await run(...args)
      assert.deepEqual([code, stdout], [2, ''])
      assert.match(stderr, says)
      assert.equal(stderr.trimEnd().split('\n').length, 1)
    })
})
