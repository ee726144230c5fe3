import assert from 'node:assert/strict'
import test from 'node:test'
import { createErrand, task, type Errand } from '../index.ts'
import { memory } from '../stores/memory/index.ts'

const ran: string[] = []
const prepareDb = task({ name: 'prepare db', run: () => void ran.push('prepare db') })
const build = task({ name: 'build', run: () => void ran.push('build') })
const deploy = task({ name: 'deploy', before: [build], run: () => void ran.push('deploy') })
const release = task({
  name: 'release',
  before: [prepareDb, 'deploy'],
  run: (version: string) => ran.push(`release ${version}`),
})
const breaks = task({
  name: 'breaks',
  retry: 'never',
  run() {
    ran.push('breaks')
    throw new Error('no')
  },
})
const careful = task({
  name: 'careful',
  before: 'breaks',
  onNeedFailed: 'cancel',
  run: () => void ran.push('careful'),
})
const careless = task({ name: 'careless', before: 'breaks', run: () => ran.push('careless') })
const tasks = [prepareDb, build, deploy, release, breaks, careful, careless]

async function started(t: { after: (end: () => Promise<void>) => void }): Promise<Errand> {
  ran.length = 0
  const errand = createErrand({ store: memory(), tasks })
  t.after(() => errand.close())
  await errand.worker().start()
  return errand
}

test('a job waits until all that comes before it has ended, and before that what comes before those', async (t) => {
  const errand = await started(t)
  await (await errand.enqueue(release, 'one')).result()
  assert.equal(ran.length, 4)
  assert.ok(ran.indexOf('build') < ran.indexOf('deploy'))
  assert.equal(ran.at(-1), 'release one')
})

test('each enqueue has jobs of its own before it, and a call may add some', async (t) => {
  const errand = await started(t)
  const [one, two] = await errand.enqueueMany([
    [release, 'one'],
    [build, undefined, { before: [prepareDb] }],
  ])
  await Promise.all([one.result(), two.result()])
  assert.equal(ran.filter((name) => name === 'prepare db').length, 2)
  assert.equal(ran.filter((name) => name === 'build').length, 2)
})

test('one that fails lets the job run, unless onNeedFailed says otherwise', async (t) => {
  const errand = await started(t)
  await (await errand.enqueue(careless, undefined)).result()
  assert.deepEqual(ran, ['breaks', 'careless'])
  await assert.rejects((await errand.enqueue(careful, undefined)).result(), {
    code: 'job-cancelled',
  })
  const failing = await errand.enqueue(careless, undefined, { onNeedFailed: 'fail' })
  await assert.rejects(failing.result(), { code: 'job-failed' })
  assert.deepEqual(ran, ['breaks', 'careless', 'breaks', 'breaks'])
})

test('follow-ups and jobs that a handler enqueues wait as well', async (t) => {
  const errand = await started(t)
  const done = Promise.withResolvers<void>()
  const last = task({
    name: 'last',
    before: [build],
    run: () => done.resolve(void ran.push('last')),
  })
  const parent = task({ name: 'parent', onSuccess: 'last', run: (_, job) => job.enqueue(deploy) })
  const other = createErrand({ store: memory(), tasks: [...tasks, last, parent] })
  t.after(() => other.close())
  await other.worker().start()
  const { id } = await other.enqueue(parent, undefined)
  await done.promise
  const [deployed] = (await other.jobs.list({ task: 'deploy' })).jobs
  assert.ok(deployed !== undefined)
  await other.jobs.result(deployed.id)
  assert.equal(deployed.parent, id)
  assert.equal(ran.filter((name) => name === 'build').length, 2)
  assert.ok(ran.indexOf('build') < ran.indexOf('last'))
  assert.ok(errand)
})

test('a job that is enqueued by name waits for what its registered task says', async (t) => {
  const store = memory()
  const errand = createErrand({ store, tasks })
  await errand.worker().start()
  ran.length = 0
  const producer = createErrand({ store })
  t.after(async () => {
    await errand.close()
    await producer.close()
  })
  await (await producer.enqueue('careless')).result()
  assert.deepEqual(ran, ['breaks', 'careless'])
})

test('tasks that come before each other are refused when the app is made', () => {
  const one = task({ name: 'one', before: ['two'] })
  const two = task({ name: 'two', before: [one] })
  assert.throws(() => createErrand({ store: memory(), tasks: [one, two] }), {
    code: 'invalid-task',
    message: /one, before it two, before it one/,
  })
})
