/** Every exit code of `errand run` and `errand check`, from the real command. */
import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, describe, test, type TestContext } from 'node:test'
import { findEtcd } from '../lock-servers.ts'
import { makeProject, root, start, type Running } from './command-line.ts'

const config = `
import { existsSync } from 'node:fs'
import { createErrand, singleton } from 'errand'
import { sqlite } from 'errand/sqlite'

const aborted = (signal) => new Promise((resolve) => signal.addEventListener('abort', resolve))
const reports = singleton({ name: 'reports', pause: '20ms', run: () => console.log('ran') })
const failing = singleton({ name: 'failing', run: () => { throw new Error('meant to fail') } })
const both = singleton({ name: 'both', every: '1s', pause: '1s', run: () => {} })
const needy = singleton({ name: 'needy', options: { region: { type: 'text', required: true } }, run: () => {} })
const heeding = singleton({
  name: 'heeding',
  run: async ({ signal }) => { console.log('running'); await aborted(signal); console.log('aborted') },
})
const deaf = singleton({
  name: 'deaf',
  run: async () => { console.log('running'); await new Promise((resolve) => setTimeout(resolve, 60_000)) },
})
const waiting = singleton({
  name: 'waiting',
  run: async () => {
    console.log('running')
    while (!existsSync('go')) await new Promise((resolve) => setTimeout(resolve, 20))
    console.log('ended')
  },
})
export default createErrand({
  store: sqlite('errand.db'),
  singletons: [reports, failing, both, needy, heeding, deaf, waiting],
})
`

/** A row: what is called, what happens meanwhile, and how it ends. */
interface Row {
  readonly args: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** Files beside the configuration. */
  readonly files?: Readonly<Record<string, string>>
  /** Commands that come before and whose end is awaited. */
  readonly before?: readonly (readonly string[])[]
  readonly meanwhile?: (running: Running, folder: string) => Promise<void>
  readonly code: 0 | 1 | 2 | 4 | 129 | 130 | 143
  /** What stderr says; nothing unless it is told. */
  readonly says?: RegExp
}

const signalled =
  (...signals: readonly NodeJS.Signals[]) =>
  async (running: Running): Promise<void> => {
    await running.shown('running')
    for (const signal of signals) {
      running.kill(signal)
      // Signals that follow each other within a second are one wish.
      await Promise.race([running.ended, new Promise((resolve) => setTimeout(resolve, 1_200))])
    }
  }

const rows: Readonly<Record<string, Row>> = {
  'once, and it succeeded': { args: ['run', 'reports', '--once'], code: 0 },
  'once without a lock, and it succeeded': {
    args: ['run', 'reports', '--once', '--no-lock'],
    code: 0,
  },
  help: { args: ['run', 'reports', '--help'], code: 0 },
  'a loop, SIGTERM': { args: ['run', 'heeding'], meanwhile: signalled('SIGTERM'), code: 0 },
  'a loop, SIGINT': { args: ['run', 'heeding'], meanwhile: signalled('SIGINT'), code: 0 },
  'once, SIGTERM in a run that heeds it': {
    args: ['run', 'heeding', '--once'],
    meanwhile: signalled('SIGTERM'),
    code: 0,
  },
  'once, and it failed': { args: ['run', 'failing', '--once'], code: 1 },
  'once without a lock, and it failed': {
    args: ['run', 'failing', '--once', '--no-lock'],
    code: 1,
  },
  'a run that does not end within its grace': {
    args: ['run', 'deaf', '--grace', '50ms'],
    meanwhile: signalled('SIGTERM'),
    code: 1,
  },
  'a second SIGTERM': {
    args: ['run', 'deaf'],
    meanwhile: signalled('SIGTERM', 'SIGTERM'),
    code: 143,
  },
  'a second SIGHUP': {
    args: ['run', 'deaf'],
    meanwhile: signalled('SIGHUP', 'SIGHUP'),
    code: 129,
  },
  'a second SIGINT': {
    args: ['run', 'deaf', '--once'],
    meanwhile: signalled('SIGINT', 'SIGINT'),
    code: 130,
  },
  'an unknown singleton': {
    args: ['run', 'report'],
    code: 2,
    says: /Did you mean reports\?/,
  },
  'an unknown option': {
    args: ['run', 'reports', '--limt', '3'],
    code: 2,
    says: /'--limt' of the singleton reports/,
  },
  'an argument': { args: ['run', 'reports', 'now'], code: 2, says: /takes no arguments/ },
  'both intervals on the command line': {
    args: ['run', 'reports', '--every', '1s', '--pause', '1s'],
    code: 2,
    says: /--every and --pause exclude each other/,
  },
  'both intervals in the environment': {
    args: ['run', 'reports'],
    env: { ERRAND_RUN_EVERY: '1s', ERRAND_RUN_PAUSE: '1s' },
    code: 2,
    says: /ERRAND_RUN_EVERY and ERRAND_RUN_PAUSE exclude each other/,
  },
  'both intervals in the definition': {
    args: ['run', 'both'],
    code: 2,
    says: /every and pause exclude each other/,
  },
  'a negative --every': {
    args: ['run', 'reports', '--every', '-1s'],
    code: 2,
    says: /--every must be a duration/,
  },
  'a negative --pause': {
    args: ['run', 'reports', '--pause', '-5'],
    code: 2,
    says: /--pause must be a duration/,
  },
  'a negative interval in the environment': {
    args: ['run', 'reports'],
    env: { ERRAND_RUN_EVERY: '-1s' },
    code: 2,
    says: /ERRAND_RUN_EVERY must be a duration/,
  },
  'an interval of nothing': {
    args: ['run', 'reports', '--every', '0'],
    code: 2,
    says: /longer than nothing/,
  },
  'a negative --ttl': {
    args: ['run', 'reports', '--ttl', '-1s'],
    code: 2,
    says: /--ttl must be a duration/,
  },
  'a --ttl that is too short for the lock': {
    args: ['run', 'reports', '--ttl', '10ms'],
    code: 2,
    says: /shorter than sqlite can keep/,
  },
  'a negative --grace': {
    args: ['run', 'reports', '--grace', '-1s'],
    code: 2,
    says: /--grace must be a duration/,
  },
  'a release on error without a kept lock': {
    args: ['run', 'reports', '--release-on-error'],
    code: 2,
    says: /only means something with keepLock/,
  },
  'a missing option of its own': {
    args: ['run', 'needy'],
    code: 2,
    says: /--region is missing/,
  },
  'an unknown lock': {
    args: ['run', 'reports', '--lock', 'consl'],
    code: 2,
    says: /Did you mean consul/,
  },
  'an unknown liveness': {
    args: ['run', 'reports', '--liveness', 'fil:/a'],
    code: 2,
    says: /Did you mean file/,
  },
  'a key that no lock can have, in a loop': {
    args: ['run', 'reports', '--lock', 'consul:http://127.0.0.1:9'],
    env: { ERRAND_CONSUL_LOCK_KEY: '/jobs/lock' },
    code: 2,
    says: /must not be empty or begin with a slash/,
  },
  'a missing key of liveness': {
    args: ['run', 'reports', '--liveness', 'file'],
    code: 2,
    says: /file:<path> or ERRAND_LIVENESS_FILE is missing/,
  },
  'a missing key of metrics': {
    args: ['run', 'reports', '--metrics', 'influxdb'],
    code: 2,
    says: /ERRAND_INFLUXDB_DATABASE is missing/,
  },
  'a file that is not there': {
    args: ['run', './none.ts#reports'],
    code: 2,
    says: /There is no file/,
  },
  'a name that the file has not': {
    args: ['run', './errand.config.ts#reports'],
    code: 2,
    says: /exports no singleton/,
  },
  'once, with a lock server that is away': {
    args: ['run', 'reports', '--once', '--lock', 'etcd:http://127.0.0.1:9'],
    code: 2,
    says: /127\.0\.0\.1:9 does not answer/,
  },
  'once, with a store that is away': {
    args: ['run', 'reports', '--once', '--store', 'postgres://127.0.0.1:9/none'],
    code: 2,
    says: /127\.0\.0\.1:9/,
  },
  'check after a success': {
    before: [['run', 'reports', '--once']],
    args: ['check', 'reports', '--max-age', '5m'],
    code: 0,
  },
  'check after a success that is too old': {
    files: { 'old.live': '1700000000 here\n' },
    args: ['check', 'reports', '--max-age', '5m', '--liveness', 'file:old.live'],
    code: 1,
  },
  'check after no success': {
    before: [['run', 'failing', '--once']],
    args: ['check', 'failing', '--max-age', '5m'],
    code: 1,
  },
  'check of an unknown singleton': {
    args: ['check', 'report', '--max-age', '5m'],
    code: 2,
    says: /Did you mean reports\?/,
  },
  'check without an age': { args: ['check', 'reports'], code: 2, says: /--max-age/ },
  'check with a negative age': {
    args: ['check', 'reports', '--max-age', '-1s'],
    code: 2,
    says: /--max-age/,
  },
  'check with an age of nothing': {
    args: ['check', 'reports', '--max-age', '0'],
    code: 2,
    says: /--max-age must be longer than nothing/,
  },
  'check of a record that is none': {
    files: { 'bad.live': 'lately\n' },
    args: ['check', 'reports', '--max-age', '5m', '--liveness', 'file:bad.live'],
    code: 2,
    says: /holds no beat/,
  },
  'check with a liveness server that is away': {
    args: ['check', 'reports', '--max-age', '5m', '--liveness', 'consul:http://127.0.0.1:9'],
    code: 2,
    says: /127\.0\.0\.1:9 does not answer/,
  },
  'check with a store that is away': {
    args: ['check', 'reports', '--max-age', '5m', '--store', 'postgres://127.0.0.1:9/none'],
    code: 2,
    says: /127\.0\.0\.1:9/,
  },
}

const quiet = { ERRAND_LOG_LEVEL: 'silent' }

async function plays(t: TestContext, row: Row): Promise<void> {
  const { args, env = {}, files = {}, before = [], meanwhile, code, says = /^$/ } = row
  const folder = await makeProject(t, { 'errand.config.ts': config, ...files })
  const options = { cwd: folder, env: { ...quiet, ...env } }
  for (const earlier of before) await start(earlier, options).ended
  const running = start(args, options)
  await meanwhile?.(running, folder)
  const ended = await running.ended
  assert.match(ended.stderr.trim(), says)
  assert.ok(ended.stderr.trim().split('\n').length <= 1, ended.stderr)
  assert.equal(ended.code, code, `${ended.stdout}${ended.stderr}`)
}

void describe('exit codes', { concurrency: 2 }, () => {
  for (const [what, row] of Object.entries(rows)) {
    void test(`exit code ${row.code}: ${what}`, (t) => plays(t, row))
  }
})

const etcd = await findEtcd()
const server = etcd?.started ?? null
after(() => etcd?.stop())

void describe('a lock server that goes away', { skip: server === null }, () => {
  if (server === null) return
  const lock = ['--lock', `etcd:${server.url}`]
  const comesBack = (t: TestContext): void => t.after(() => server.start())
  const logged = { ERRAND_LOG_LEVEL: 'error', ERRAND_LOG_FORMAT: 'json' }

  test('exit code 4: once, while another process has the lock', async (t) => {
    const folder = await makeProject(t, { 'errand.config.ts': config })
    const options = { cwd: folder, env: quiet }
    const holder = start(['run', 'heeding', ...lock], options)
    await holder.shown('running')
    await plays(t, {
      args: ['run', 'heeding', '--once', ...lock],
      code: 4,
      says: /another process has the lock: nothing was run/,
    })
    holder.kill('SIGTERM')
    assert.equal((await holder.ended).code, 0)
  })

  test('exit code 2: away at the start of a run that is once', async (t) => {
    comesBack(t)
    await server.kill()
    await plays(t, {
      args: ['run', 'heeding', '--once', ...lock],
      code: 2,
      says: /does not answer/,
    })
  })

  test('exit code 0: away at the start of a loop, which waits, and SIGTERM', async (t) => {
    comesBack(t)
    await server.kill()
    await plays(t, {
      args: ['run', 'heeding', ...lock],
      env: logged,
      async meanwhile(running) {
        await running.shown('"part":"lock"')
        running.kill('SIGTERM')
      },
      code: 0,
    })
  })

  test('exit code 1: away in the middle of a run that is once, which is aborted', async (t) => {
    comesBack(t)
    await plays(t, {
      args: ['run', 'heeding', '--once', '--ttl', '2s', ...lock],
      async meanwhile(running) {
        await running.shown('running')
        await server.kill()
        await running.shown('aborted')
      },
      code: 1,
    })
  })

  test('exit code 0: away in the middle of a loop, whose run is aborted, and SIGTERM', async (t) => {
    comesBack(t)
    await plays(t, {
      // What the run before it left ends by its time.
      args: ['run', 'heeding', '--keep-lock', '--ttl', '2s', ...lock],
      async meanwhile(running) {
        await running.shown('running')
        await server.kill()
        await running.shown('aborted')
        running.kill('SIGTERM')
      },
      code: 0,
    })
  })

  test('exit code 0: away at the end of a run that succeeded, whose lock then ends by its time', async (t) => {
    comesBack(t)
    await plays(t, {
      args: ['run', 'waiting', '--once', '--ttl', '60s', ...lock],
      async meanwhile(running, folder) {
        await running.shown('running')
        await server.kill()
        await writeFile(join(folder, 'go'), '')
      },
      code: 0,
    })
  })
})

test('the documented exit codes are those of these tests', async () => {
  const page = await readFile(join(root, 'docs/singletons.md'), 'utf8')
  const documented = [...page.matchAll(/^\| ((?:\d+(?:, )?)+) \| /gm)].flatMap(([, codes = '']) =>
    codes.split(', ').map(Number),
  )
  const tested = [...Object.values(rows).map(({ code }) => code), 4]
  assert.deepEqual(
    documented,
    [...new Set(tested)].sort((a, b) => a - b),
  )
})
