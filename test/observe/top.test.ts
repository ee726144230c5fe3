/** `errand top` in a real terminal. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { promisify } from 'node:util'
import { createErrand } from 'errand'
import { sqlite } from 'errand/sqlite'
import { errand, makeProject, root, start } from '../cli/command-line.ts'
import { comesUp, findBinary, freePort, onPath, OwnProcess } from '../services.ts'

const run = promisify(execFile)
const tmux = findBinary({
  name: 'tmux',
  variable: 'ERRAND_TEST_TMUX',
  debianPackage: 'tmux',
  binary: () => onPath('tmux'),
})

const configText = `
import { createErrand, task } from 'errand'
import { sqlite } from 'errand/sqlite'

export default createErrand({
  store: sqlite('errand.db'),
  queues: { mail: { slots: 2 }, reports: {} },
  tasks: [
    task({ name: 'mail.send', queue: 'mail', run: () => undefined }),
    task({
      name: 'reports.build',
      queue: 'reports',
      run: (_: undefined, job) => new Promise((_, reject) => {
        job.signal.addEventListener('abort', () => reject(job.signal.reason))
      }),
    }),
    task({ name: 'reports.fail', queue: 'reports', retry: 'never', run: () => {
      throw new Error('the \\u001b[2Jprinter is on fire')
    } }),
  ],
})
`

interface Terminal {
  readonly keys: (...keys: readonly string[]) => Promise<void>
  /** The screen, once it holds all of these. */
  readonly shows: (...wanted: readonly RegExp[]) => Promise<string>
}

/** A terminal of 80 columns with a command in it. It ends with the test, whatever becomes of that. */
async function terminal(t: TestContext, cwd: string, args: readonly string[]): Promise<Terminal> {
  const place = ['-S', join(cwd, 'tmux.socket'), '-f', '/dev/null']
  // In the foreground, so that it is a process of ours.
  const server = new OwnProcess(tmux ?? '', ['-D', ...place])
  t.after(() => server.end('SIGKILL'))
  const call = async (...given: readonly string[]): Promise<string> =>
    (await run(tmux ?? '', ['-N', ...place, ...given], { cwd })).stdout
  const command = [
    process.execPath,
    '--conditions=errand-source',
    join(root, 'src/cli/main.ts'),
    ...args,
  ]
  const quoted = command.map((one) => `'${one}'`).join(' ')
  server.start()
  await comesUp('tmux', () => call('list-commands'))
  await call('new-session', '-d', '-x', '80', '-y', '24', `${quoted}; echo left with $?; sleep 600`)
  const shows = async (...wanted: readonly RegExp[]): Promise<string> => {
    const end = performance.now() + 30_000
    for (;;) {
      const text = await call('capture-pane', '-p')
      if (wanted.every((one) => one.test(text))) return text
      if (performance.now() > end) assert.fail(`it does not show ${wanted.join(' and ')}:\n${text}`)
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
  return { keys: async (...keys) => void (await call('send-keys', ...keys)), shows }
}

async function projectWithWork(t: TestContext): Promise<string> {
  const cwd = await makeProject(t, { 'errand.config.ts': configText })
  const worker = start(['worker'], { cwd })
  t.after(() => worker.kill('SIGKILL'))
  await worker.shown(' started: ')
  const app = createErrand({ store: sqlite(join(cwd, 'errand.db')) })
  for (const one of ['mail.send', 'reports.build', 'reports.fail']) await app.enqueue(one)
  await app.close()
  return cwd
}

test(
  'queues, workers, running and failed jobs are shown, and keys act on them',
  { skip: tmux === null },
  async (t) => {
    const cwd = await projectWithWork(t)
    const { keys, shows } = await terminal(t, cwd, ['top', '--every', '300ms'])
    const first = await shows(/1 worker {2}1\/10 slots/, /> +mail /, /reports +0 +1 +0 +0 +1 /)
    assert.ok(first.split('\n').every((line) => line.length <= 80))

    await keys('p')
    await shows(/mail is paused/, /> +mail .*paused/)
    assert.match(
      (await errand(['queues', 'list', '--json'], { cwd })).stdout,
      /"name":"mail","paused":true/,
    )
    await keys('p')
    await shows(/mail gives jobs again/)

    await keys('Tab')
    await shows(/> +[0-9a-f-]+… +running +.* 1\/10 +mail, reports/)
    await keys('Tab')
    await shows(/> .*reports\.build +reports +1/)
    await keys('c')
    await shows(/cancel reports\.build .* y\/n/)
    await keys('n')
    await keys('c')
    await keys('y')
    await shows(/reports\.build: asked/, /Nothing runs/)

    await keys('4')
    // What an error holds does nothing to the terminal.
    await shows(/> .*reports\.fail/, /printer|Error/)
    await keys('r', 'y')
    await shows(/reports\.fail: (?:ready|retried)/)
    await keys('q')
    await shows(/left with 0/)
  },
)

test(
  'over HTTP it shows the same, says when the manager is away, and goes on when it is back',
  { skip: tmux === null },
  async (t) => {
    const cwd = await projectWithWork(t)
    const port = String(await freePort())
    const serve = () => {
      const server = start(['serve', '--port', port], { cwd })
      t.after(() => server.kill('SIGKILL'))
      return server
    }
    const first = serve()
    await first.shown(' at http:')
    const { keys, shows } = await terminal(t, cwd, [
      'top',
      '--every',
      '300ms',
      '--store',
      `http://127.0.0.1:${port}`,
    ])
    await shows(/1\/10 slots/, /reports +0 +1 /)
    first.kill('SIGKILL')
    await first.ended
    await shows(/The store does not answer/, /reports +0 +1 /)
    serve()
    await shows(/^\s*$/m, /reports +0 +1 /)
    await keys('C-c')
    await shows(/left with 0/)
  },
)

test('where there is no terminal it shows each view once', async (t) => {
  const cwd = await projectWithWork(t)
  const { code, stdout, stderr } = await errand(['top'], { cwd })
  assert.deepEqual([code, stderr], [0, ''])
  for (const word of ['QUEUE', 'ENDED/S', 'SLOTS', 'reports.build'])
    assert.ok(stdout.includes(word), stdout)
  const json = await errand(['top', '--json'], { cwd })
  const { queues } = JSON.parse(json.stdout) as { queues: { name: string; running: number }[] }
  assert.equal(queues.find(({ name }) => name === 'reports')?.running, 1)
})
