import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { v7 as uuidv7 } from 'uuid'
import { createErrand, task } from 'errand'
import { sqlite } from 'errand/sqlite'
import { configText, errand, makeProject, start } from './command-line.ts'

test('a sound set-up with a worker is all ok', async (context) => {
  const cwd = await makeProject(context, { 'errand.config.ts': configText })
  const worker = start(['worker'], { cwd })
  context.after(() => worker.kill('SIGKILL'))
  await worker.shown('started')
  const { code, stdout, stderr } = await errand(['doctor'], { cwd })
  assert.equal(stderr, '')
  assert.equal(code, 0)
  assert.match(stdout, /\nAll is well\.\n$/)
  assert.doesNotMatch(stdout, /^(warn|fail)/m)
  for (const check of [
    'node',
    'configuration',
    'tasks',
    'store',
    'schema',
    'writes',
    'durability',
    'renewer',
    'clock',
    'queues',
    'workers',
    'retention',
  ]) {
    assert.match(stdout, new RegExp(`^ok +${check} `, 'm'))
  }
  worker.kill('SIGTERM')
  await worker.ended
})

test('what fails is told with what to do, and ends with 1', async (context) => {
  const failing: Readonly<Record<string, { files: Record<string, string>; says: RegExp }>> = {
    configuration: {
      files: { 'errand.config.ts': 'export default {' },
      says: /^fail +configuration +errand\.config\.ts does not load.*\n +→ /m,
    },
    tasks: {
      files: {
        'errand.config.ts': configText.replace(
          'tasks: [add, boom, skip, slow, hang]',
          "tasks: 'nowhere/*.ts'",
        ),
      },
      says: /^fail +tasks +No file matches nowhere.*\n +→ /m,
    },
    store: {
      files: { 'errand.config.ts': configText, 'errand.db': 'This is no database. '.repeat(300) },
      says: /^fail +store +.*not an intact SQLite database.*\n +→ /m,
    },
    nothing: { files: {}, says: /^fail +configuration +No configuration/m },
  }
  for (const [name, { files, says }] of Object.entries(failing)) {
    const cwd = await makeProject(context, files)
    const { code, stdout, stderr } = await errand(['doctor'], { cwd })
    assert.equal(stderr, '', name)
    assert.match(stdout, says)
    assert.equal(code, 1, name)
  }
})

test('leases that no thread can renew are warned of, with the reason', async (context) => {
  const nowhere = `{ module: 'file:///nowhere/store.js', argument: null }`
  const config = `import { createErrand } from 'errand'
import { sqlite } from 'errand/sqlite'
export default createErrand({ store: Object.assign(sqlite('errand.db'), { connector: ${nowhere} }) })
`
  const cwd = await makeProject(context, { 'errand.config.ts': config })
  const { stdout } = await errand(['doctor'], { cwd })
  assert.match(stdout, /^warn +renewer +leases are renewed on the event loop\n +→ .*nowhere/m)
})

test('jobs and queues that need somebody are warned of, which is no failure', async (context) => {
  const cwd = await makeProject(context)
  const boom = task({
    name: 'boom',
    retry: 'never',
    run() {
      throw new Error('it broke')
    },
  })
  const app = createErrand({
    store: sqlite(join(cwd, 'errand.db')),
    tasks: [boom],
    queues: { '*': {} },
  })
  context.after(() => app.close())
  const failed = await app.enqueue(boom)
  const stranger = task({ name: 'stranger' })
  const unknown = await app.enqueue(stranger)
  const worker = app.worker()
  await worker.start()
  await failed.result().catch(() => undefined)
  while ((await app.jobs.get(unknown.id))?.deferrals === 0) await new Promise(setImmediate)
  await worker.stop()
  await app.queues.pause('mail')
  await app.store.tend({
    id: uuidv7(),
    host: 'elsewhere',
    pid: 7,
    version: '0',
    queues: ['default'],
    slots: 1,
    running: [],
    startedAt: 0,
    lastSeenAt: 0,
    schedules: null,
    stopped: false,
  })
  await app.enqueue(stranger, undefined, { queue: 'lonely' })

  const { code, stdout } = await errand(['doctor', '--store', 'sqlite:errand.db'], { cwd })
  assert.equal(code, 0)
  assert.match(stdout, /^warn +queues +paused: mail\n +→ .*errand queues resume mail$/m)
  assert.match(
    stdout,
    /^warn +queues +1 job ready in lonely, which no worker serves\n +→ .*--queue lonely$/m,
  )
  assert.match(stdout, /^warn +unknown tasks +1 job of stranger\n/m)
  assert.match(stdout, /^warn +failed jobs +1 kept\n +→ .*errand jobs retry/m)

  const findings = JSON.parse(
    (await errand(['doctor', '--json', '--store', 'sqlite:errand.db'], { cwd })).stdout,
  ) as {
    readonly status: string
  }[]
  assert.ok(findings.every(({ status }) => status === 'ok' || status === 'warn'))
})

test('jobs that could not be read are counted, with what to do', async (context) => {
  const cwd = await makeProject(context)
  const file = join(cwd, 'errand.db')
  const odd = task({ name: 'odd', run: () => undefined })
  const app = createErrand({ store: sqlite(file), tasks: [odd] })
  context.after(() => app.close())
  const jobs = await app.enqueueMany([[odd], [odd], [odd]])
  const db = new DatabaseSync(file)
  const spoil = db.prepare(`UPDATE errand_jobs SET created_at = ${2n ** 62n} WHERE id = ?`)
  for (const { id } of jobs.slice(1)) spoil.run(id)
  db.close()
  await app.worker().start()
  for (const job of jobs) await job.result().catch(() => undefined)

  const { code, stdout } = await errand(['doctor', '--store', 'sqlite:errand.db'], { cwd })
  assert.equal(code, 0)
  assert.match(stdout, /^warn +unreadable jobs +2 jobs .*\n +→ .*errand jobs show <id>/m)
})

test('doctor writes nothing but what is missing', async (context) => {
  const cwd = await makeProject(context)
  await writeFile(join(cwd, 'readme.txt'), '')
  const { code } = await errand(['doctor', '--store', 'sqlite:errand.db'], { cwd })
  assert.equal(code, 0)
  assert.equal(
    (await errand(['jobs', 'list', '--json', '--store', 'sqlite:errand.db'], { cwd })).stdout,
    '{"jobs":[],"next":null}\n',
  )
})
