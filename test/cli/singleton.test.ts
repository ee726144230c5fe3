/** `errand run` and `errand check`, as programs see them. */
import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { after, test } from 'node:test'
import { flagOf } from '../../src/singleton/options.ts'
import { settingVariables } from '../../src/singleton/settings.ts'

const folder = await mkdtemp(join(tmpdir(), 'errand-run-'))
after(() => rm(folder, { recursive: true }))
await writeFile(
  join(folder, 'errand.config.ts'),
  `import { createErrand, singleton } from ${JSON.stringify(import.meta.resolve('../../src/index.ts'))}
import { sqlite } from ${JSON.stringify(import.meta.resolve('../../src/stores/sqlite/index.ts'))}
const reports = singleton({
  name: 'reports',
  description: 'Sends reports.',
  pause: '20ms',
  options: {
    limit: { type: 'number', default: 3, description: 'how many', env: 'REPORT_LIMIT' },
    dryRun: { type: 'flag' },
  },
  run: ({ options, token }) => console.log(\`limit \${options.limit} \${options.dryRun} \${token !== null}\`),
})
const failing = singleton({ name: 'failing', run: () => { throw new Error('meant to fail') } })
const holding = singleton({
  name: 'holding',
  run: ({ signal }) => new Promise((done) => { console.log('holding'); signal.addEventListener('abort', () => done(undefined)) }),
})
export default createErrand({ store: sqlite('errand.db'), singletons: [reports, failing, holding] })
`,
)

interface Ended {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

const started = new Set<ChildProcess>()
after(() => started.forEach((child) => child.kill('SIGKILL')))

/** Starts the command line; `ready` resolves at its first line. */
function start(
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): {
  readonly stop: (signal: NodeJS.Signals) => void
  readonly ready: Promise<unknown>
  readonly ended: Promise<Ended>
} {
  const main = resolve(import.meta.dirname, '../../src/cli/main.ts')
  const child = spawn(process.execPath, ['--conditions=errand-source', main, ...args], {
    cwd: folder,
    env: { ...process.env, ERRAND_LOG_LEVEL: 'silent', ...env },
  })
  started.add(child)
  let [out, err] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text))
  return {
    stop: (signal) => child.kill(signal),
    ready: once(child.stdout, 'data'),
    ended: once(child, 'close').then(([code]) => ({ code: code as number | null, out, err })),
  }
}

const run = (...args: readonly string[]): Promise<Ended> => start(args).ended

test('a run that is once ends with 0 when it succeeded and with 1 when it failed', async () => {
  assert.deepEqual(await run('run', 'reports', '--once'), {
    code: 0,
    out: 'limit 3 false true\n',
    err: '',
  })
  assert.equal((await run('run', 'failing', '--once')).code, 1)
})

test("a singleton's own options come from the command line before the environment", async () => {
  const { out } = await run('run', 'reports', '--once', '--limit', '7', '--dry-run', '--no-lock')
  assert.equal(out, 'limit 7 true false\n')
  const { out: fromEnv } = await start(['run', 'reports', '--once'], { REPORT_LIMIT: '9' }).ended
  assert.equal(fromEnv, 'limit 9 false true\n')
})

test('a loop ends with 0 at a signal, and its lock is free then', async () => {
  const holder = start(['run', 'holding'])
  await holder.ready
  const second = await run('run', 'holding', '--once')
  assert.equal(second.code, 4)
  assert.match(second.err, /another process has the lock/)
  holder.stop('SIGTERM')
  assert.equal((await holder.ended).code, 0)
  const third = start(['run', 'holding', '--once'])
  await third.ready
  third.stop('SIGINT')
  assert.equal((await third.ended).code, 0)
})

test('check passes after a success and fails without one or when it is too old', async () => {
  await run('run', 'reports', '--once')
  const passed = await run('check', 'reports', '--max-age', '5m')
  assert.equal(passed.code, 0)
  assert.match(passed.out, /^PASS reports: its last success was /)
  const never = await run('check', 'failing', '--max-age', '5m', '--json')
  assert.equal(never.code, 1)
  assert.equal((JSON.parse(never.out) as { passes: boolean }).passes, false)
  const { out } = await run('check', 'failing', '--max-age', '5m')
  assert.equal(out, 'FAIL failing: it never succeeded\n')
})

test('help shows the options of the command and of the singleton', async () => {
  const { code, out } = await run('run', 'reports', '--help')
  assert.equal(code, 0)
  for (const name of Object.keys(settingVariables))
    assert.ok(out.includes(`${flagOf(name)} `), name)
  assert.match(out, /Sends reports\./)
  assert.match(out, /--limit <number> +how many \(default: 3; env: REPORT_LIMIT\)/)
})
