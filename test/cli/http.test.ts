/** Every command on a store behind a manager. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import test, { before, suite, after } from 'node:test'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { createErrand, schedule, task, workflow, type Errand } from 'errand'
import { sqlite } from 'errand/sqlite'
import { managerUnderTest, type ManagerUnderTest } from '../manager-server.ts'
import { configText, errand, makeProject, root, start, type Ended } from './command-line.ts'

suite('commands over HTTP', () => {
  let folder: string
  let manager: ManagerUnderTest
  let app: Errand
  let id: string
  let flowId: string
  const run = (...args: readonly string[]): Promise<Ended> =>
    errand([...args, '--store', manager.url], { cwd: folder })
  const works = async (says: RegExp, ...args: readonly string[]): Promise<void> => {
    const { code, stdout, stderr } = await run(...args)
    assert.equal(stderr, '', args.join(' '))
    assert.equal(code, 0, args.join(' '))
    assert.match(stdout, says, args.join(' '))
  }

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'errand-http-cli-'))
    const file = join(folder, 'errand.db')
    manager = await managerUnderTest({ open: () => sqlite(file) })
    const add = task({ name: 'add', run: ({ a, b }: { a: number; b: number }) => a + b })
    const nightly = schedule({
      name: 'nightly',
      task: add,
      input: { a: 1, b: 2 },
      cron: '0 3 * * *',
    })
    const flow = workflow({
      name: 'flow',
      build(w) {
        w.output(w.add('sum', add, { a: 1, b: 2 }).output)
      },
    })
    app = createErrand({
      store: sqlite(file),
      tasks: [add],
      schedules: [nightly],
      workflows: [flow],
    })
    await app.worker().start()
    const job = await app.enqueue(add, { a: 1, b: 2 })
    await job.result({ timeout: '30s' })
    id = job.id
    const started = await app.start(flow)
    flowId = started.id
    await started.result({ timeout: '30s' })
  })
  after(async () => {
    await app.close()
    await manager.close()
    await rm(folder, { recursive: true })
  })

  test('jobs are listed, shown, counted, changed and waited for', async () => {
    await works(/completed/, 'jobs', 'list')
    await works(/add/, 'jobs', 'show', id)
    await works(/3/, 'jobs', 'result', id)
    const { stdout } = await run('enqueue', 'add', '{"a":2,"b":2}', '--delay', '1h', '--json')
    const late = (JSON.parse(stdout) as { readonly id: string }).id
    await works(/cancelled/, 'jobs', 'cancel', late)
    await works(/ready again/, 'jobs', 'retry', late)
    await works(/7/, 'enqueue', 'add', '{"a":3,"b":4}', '--wait')
    await works(/removed/, 'jobs', 'remove', id)
  })

  test('queues, workers, schedules and workflows are seen and changed', async () => {
    await works(/default/, 'queues', 'list')
    await works(/paused default/, 'queues', 'pause', 'default')
    await works(/resumed default/, 'queues', 'resume', 'default')
    await works(/jobs? removed/, 'queues', 'purge', 'default')
    await works(/running/, 'workers')
    await works(/nightly/, 'schedules', 'list')
    await works(/nightly/, 'schedules', 'show', 'nightly')
    await works(/T0\d:00/, 'schedules', 'next', 'nightly')
    await works(/nightly/, 'schedules', 'pause', 'nightly')
    await works(/nightly/, 'schedules', 'resume', 'nightly')
    const { stdout } = await run('schedules', 'trigger', 'nightly')
    await works(new RegExp(stdout.trim()), 'jobs', 'list', '--schedule', 'nightly', '--json')
    await works(/"jobs":\[\]/, 'jobs', 'list', '--schedule', 'yearly', '--json')
    await works(/flow/, 'workflows', 'list')
    await works(/sum/, 'workflows', 'show', flowId)
  })

  test('doctor looks at the store behind the manager', async () => {
    const { stdout, code } = await run('doctor')
    assert.match(stdout, /^ok {4}store +http at http:/m)
    assert.match(stdout, /^ok {4}renewer +leases are renewed by a thread/m)
    assert.match(stdout, /^ok {4}durability +\S/m)
    assert.doesNotMatch(stdout, /that of the manager/)
    assert.equal(code, 0)
  })

  test('check needs no store, and what needs the database itself says so', async () => {
    for (const args of [['migrate'], ['serve'], ['run', './loop.ts#loop']] as const) {
      const files = {
        'loop.ts': `import { singleton } from 'errand'\nexport const loop = singleton({ name: 'loop', every: '1h', run: () => {} })\n`,
      }
      const cwd = args[0] === 'run' ? await makeProject({ after } as never, files) : folder
      const { code, stderr } = await errand([...args, '--store', manager.url], { cwd })
      assert.match(stderr, /does not work over HTTP.*Name the database itself/, args[0])
      assert.equal(code, 2)
    }
  })

  test('a worker runs what is enqueued, and ends with 0', async (t) => {
    const cwd = await makeProject(t, { 'errand.config.ts': configText })
    const worker = start(
      ['worker', '--queue', 'slow', '--store', manager.url, '--log-format', 'json'],
      { cwd },
    )
    const { stdout, code, stderr } = await errand(
      ['enqueue', 'slow', '--wait', '--store', manager.url],
      { cwd },
    )
    assert.equal(code, 0, stderr)
    assert.match(stdout, /done/)
    worker.kill('SIGTERM')
    assert.equal((await worker.ended).code, 0)
  })
})

test('a manager that is away, and one that is none, end a command with 2 and a line', async () => {
  const secret = 'errand_not-to-be-shown'
  for (const [url, says] of [
    ['http://127.0.0.1:1', /does not answer.*Is the manager running/],
    ['https://me:pass@127.0.0.1', /put a token in ERRAND_TOKEN/],
  ] as const) {
    const env = { ERRAND_TOKEN: secret }
    const ended = await errand(['jobs', 'list', '--store', url], { cwd: root, env })
    assert.match(ended.stderr, says)
    assert.match(ended.stderr, /^error: [^\n]*\n$/)
    assert.doesNotMatch(ended.stderr, new RegExp(secret))
    assert.equal(ended.code, 2)
  }
})
