/** Functions of schedules, and what a worker does with schedules, on memory with time moved by hand. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import {
  createErrand,
  isErrandError,
  schedule,
  task,
  type AnyTask,
  type Errand,
  type Schedule,
  type Worker,
} from '../../src/index.ts'
import { memory, MemoryDatabase } from '../../src/stores/memory/index.ts'
import { VirtualClock } from '../../src/testing/virtual-clock.ts'

const minute = 60_000

interface Bench {
  readonly clock: VirtualClock
  readonly warnings: string[]
  readonly app: (schedules: readonly Schedule[], tasks?: readonly AnyTask[]) => Errand
  readonly work: (errand: Errand) => Promise<Worker>
  readonly stop: (worker: Worker) => Promise<void>
}

function bench(t: TestContext): Bench {
  const clock = new VirtualClock()
  const database = new MemoryDatabase()
  const warnings: string[] = []
  const errands: Errand[] = []
  const passing = async (work: Promise<unknown>): Promise<void> => {
    const done = work.then(() => true)
    while (!(await Promise.race([done, clock.advance(5)])));
  }
  t.after(() => passing(Promise.all(errands.map((errand) => errand.close()))))
  return {
    clock,
    warnings,
    app: (schedules, tasks = []) => {
      const errand = createErrand({ store: memory({ clock, database }), tasks, schedules })
      errand.on('warning', ({ message }) => void warnings.push(message))
      errands.push(errand)
      return errand
    },
    work: async (errand) => {
      const worker = errand.worker()
      await passing(worker.start())
      return worker
    },
    stop: (worker) => passing(worker.stop()),
  }
}

test('a function runs once for each tick, in one of the processes that declare it', async (t) => {
  const { clock, app, work } = bench(t)
  const ran: number[] = []
  const fn = schedule({
    name: 'fn',
    every: '1m',
    run: ({ schedule: name, plannedAt }) => {
      assert.equal(name, 'fn')
      ran.push(plannedAt.getTime())
    },
  })
  for (const errand of [app([fn]), app([fn]), app([])]) await work(errand)
  const from = clock.now()
  await clock.advance(5 * minute + 1_000)
  assert.deepEqual(
    ran,
    [1, 2, 3, 4, 5].map((n) => Math.floor(from / minute + n) * minute),
  )
})

test('a function that throws is a warning, and the schedule goes on', async (t) => {
  const { clock, warnings, app, work } = bench(t)
  let calls = 0
  const run = (): never => {
    calls += 1
    throw new Error('no disk')
  }
  await work(app([schedule({ name: 'fn', every: '1m', run })]))
  await clock.advance(2 * minute + 1_000)
  assert.equal(calls, 2)
  assert.equal(warnings.filter((text) => /fn failed: .*no disk/.test(text)).length, 2)
})

test('functions of a process run once in each: at its start, later, and at its stop', async (t) => {
  const { clock, app, work, stop } = bench(t)
  const ran: string[] = []
  const says = (word: string) => () => void ran.push(word)
  const schedules = [
    schedule({ name: 'start', run: says('start'), on: 'start' }),
    schedule({ name: 'later', run: says('later'), after: '60s' }),
    schedule({ name: 'stop', run: says('stop'), on: 'stop' }),
  ]
  const workers = [await work(app(schedules)), await work(app(schedules))]
  assert.deepEqual(ran, ['start', 'start'])
  await clock.advance(minute + 1_000)
  assert.deepEqual(ran.slice(2), ['later', 'later'])
  for (const worker of workers) await stop(worker)
  assert.deepEqual(ran.slice(4), ['stop', 'stop'])
})

test('a rule that throws or goes back pauses its schedule with the reason, and others fire', async (t) => {
  const { clock, warnings, app, work } = bench(t)
  const ran: string[] = []
  const report = task({ name: 'report', run: (input: string) => void ran.push(input) })
  const bad = (name: string, at: (after: Date) => Date): Schedule =>
    schedule({ name, task: report, input: name, at })
  const errand = app(
    [
      bad('throws', () => {
        throw new RangeError('no such day')
      }),
      bad('back', (after) => new Date(after.getTime() - 1)),
      bad('good', (after) => new Date(Math.floor(after.getTime() / minute + 1) * minute)),
    ],
    [report],
  )
  await work(errand)
  await clock.advance(2 * minute + 1_000)
  assert.deepEqual(ran, ['good', 'good'])
  assert.match((await errand.schedules.get('throws')).paused?.note ?? '', /no such day/)
  assert.match(
    (await errand.schedules.get('back')).paused?.note ?? '',
    /later than the one it gets/,
  )
  assert.ok(warnings.some((text) => /Schedule throws is paused/.test(text)))
})

test('a store that was away for ten minutes gives what missed says', async (t) => {
  const { clock, app, work, stop } = bench(t)
  const ran: string[] = []
  const report = task({ name: 'report', run: (input: string) => void ran.push(input) })
  const each = (missed: 'latest' | 'all' | 'skip'): Schedule =>
    schedule({ name: missed, task: report, input: missed, every: '1m', missed })
  const errand = app([each('latest'), each('all'), each('skip')], [report])
  const store = errand.store as { insert: unknown; getRecords: unknown; putRecords: unknown }
  const { insert, getRecords, putRecords } = store
  const away = (): Promise<never> => Promise.reject(new Error('the store is away'))
  const worker = await work(errand)
  await clock.advance(minute + 1_000)
  assert.deepEqual(ran.splice(0).toSorted(), ['all', 'latest', 'skip'])
  Object.assign(store, { insert: away, getRecords: away, putRecords: away })
  await clock.advance(10 * minute)
  assert.ok((worker.status.parts['schedules'] ?? 0) > 0)
  Object.assign(store, { insert, getRecords, putRecords })
  await clock.advance(30_000)
  const counts = Object.fromEntries(
    [...Map.groupBy(ran, (name) => name)].map(([name, all]) => [name, all.length]),
  )
  assert.deepEqual(counts, { all: 10, latest: 1, skip: 1 })
  await stop(worker)
})

test('what can never work is refused where it is written, in one line', () => {
  const report = task({ name: 'report', run: (_: string) => undefined })
  const wrong: readonly [given: object, words: RegExp][] = [
    [{ task: report, input: '', cron: '0 0 31 4 *' }, /never matches/],
    [{ task: report, input: '', cron: '0 0 * *' }, /cron/],
    [{ task: report, input: '', cron: '0 3 * * *', timezone: 'Europe/Pragge' }, /Europe\/Prague/],
    [{ task: report, input: '', every: 0 }, /at least 1 s/],
    [{ task: report, input: '' }, /needs one of cron, every, calendar and at/],
    [{ task: report, input: '', every: '1m', cron: '* * * * *' }, /not cron and every/],
    [{ task: report, input: '', every: '1m', runAt: new Date() }, /takes no runAt/],
    [{ task: report, input: '', every: '1m', overlap: 'wait' }, /'queue-one'/],
    [{ task: report, input: '', every: '1m', overlap: 'skip', unique: true }, /leave out unique/],
    [{ task: report, input: '', every: '1m', limit: 0 }, /whole number from 1/],
    [{ task: report, run: () => undefined, every: '1m' }, /one of task, workflow and run/],
    [{ every: '1m' }, /one of task, workflow and run/],
    [{ run: () => undefined, on: 'stop', after: '1m' }, /takes no after/],
    [{ run: () => undefined, every: '1m', queue: 'mail' }, /queue/],
  ]
  for (const [given, words] of wrong)
    assert.throws(
      () => schedule({ name: 'wrong', ...given } as never),
      (error) =>
        isErrandError(error, 'invalid-option') &&
        words.test(error.message) &&
        !/\n/.test(error.message),
      JSON.stringify(given),
    )
  const twice = schedule({ name: 'twice', task: report, input: '', every: '1m' })
  assert.throws(
    () => createErrand({ store: memory(), schedules: [twice, twice] }),
    /Two schedules are called twice/,
  )
})

test('a worker whose schedule names a task that nobody knows does not start, and says so', async (t) => {
  const { app } = bench(t)
  const errand = app([schedule({ name: 'nightly', task: 'reprot', every: '1m' })])
  await assert.rejects(errand.worker().start(), /schedule nightly: .*reprot/)
})

test('a schedule whose zone this process does not know is left to others, and the rest fires', async (t) => {
  const { clock, warnings, app, work } = bench(t)
  const ran: string[] = []
  const report = task({ name: 'report', run: (input: string) => void ran.push(input) })
  const daily = (name: string): Schedule =>
    schedule({ name, task: report, input: name, cron: '* * * * *', timezone: 'Europe/Prague' })
  const errand = app([daily('good'), daily('odd')], [report])
  await work(errand)
  const [text] = await errand.store.getRecords(['schedule:odd'])
  const odd = text!.replace('Europe/Prague', 'Mars/Base')
  await errand.store.putRecords([
    { key: 'schedule:odd', text: odd },
    { key: 'schedules-version', text: 'changed' },
  ])
  await clock.advance(2 * minute + 1_000)
  assert.deepEqual(ran, ['good', 'good'])
  assert.ok(warnings.some((words) => /odd does not fire here.*Mars/.test(words)))
  const infos = await errand.schedules.list()
  assert.deepEqual(
    infos.map(({ name, next }) => [name, next === null]),
    [
      ['good', false],
      ['odd', true],
    ],
  )
})
