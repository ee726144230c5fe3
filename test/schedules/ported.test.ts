/**
 * What EasyJobs' scheduler and taskkit's schedulers do, as scenarios, and the opposite of their
 * faults. Numbers are those of docs/ported-scenarios.md.
 */
import assert from 'node:assert/strict'
import test, { type TestContext } from 'node:test'
import {
  createErrand,
  schedule,
  task,
  type Errand,
  type Configuration,
  type TimingOptions,
} from 'errand'
import { memory, MemoryDatabase } from 'errand/memory'
import { drain, testErrand, VirtualClock, type TestErrand } from 'errand/testing'
import { passing } from '../../src/testing/test-errand.ts'

const minute = 60_000
const hour = 60 * minute

/** What ran, as `schedule planned input`. */
class Heard {
  readonly all: string[] = []
  readonly task = task({
    name: 'hear',
    run: (input: unknown, job) => {
      const time = job.plannedAt?.toISOString().slice(11, 19)
      this.all.push(`${job.schedule} ${time} ${JSON.stringify(input ?? null)}`)
    },
  })
}

/** An app at midnight, 1 January 2030 (a Tuesday), with a worker. */
async function started(
  t: TestContext,
  config: Omit<Configuration<unknown>, 'store'>,
): Promise<TestErrand> {
  const errand = testErrand(config)
  t.after(() => errand.close())
  await errand.worker().start()
  return errand
}

async function planned(
  when: TimingOptions,
  from: string,
  count: number,
): Promise<readonly string[]> {
  const { task: one } = new Heard()
  const schedules = [schedule({ name: 'one', task: one, ...when })]
  const errand = testErrand({ tasks: [one], schedules })
  const times = await errand.schedules.next('one', { from: new Date(from), count })
  await errand.close()
  return times.map((time) => time.toISOString().slice(0, 19))
}

test('E10: a function of the process is called at each tick, beside the jobs', async (t) => {
  const calls: string[] = []
  const run = ({ plannedAt }: { plannedAt: Date }): void =>
    void calls.push(plannedAt.toISOString().slice(11, 16))
  const errand = await started(t, {
    schedules: [schedule({ name: 'pause', cron: '*/5 * * * *', run })],
  })
  await errand.clock.advance(11 * minute)
  assert.deepEqual(calls, ['00:05', '00:10'])
  assert.equal((await errand.jobs.list()).jobs.length, 0)
})

test('E17, E18: a task runs at each match of its cron text with the arguments of its schedule', async (t) => {
  const heard = new Heard()
  const input = { args: [1], kwargs: { team: 'a' } }
  const schedules = [
    schedule({ name: 'half', task: heard.task, input, cron: '30 * * * *' }),
    schedule({ name: 'plain', task: heard.task, cron: '45 * * * *' }),
  ]
  const errand = await started(t, { tasks: [heard.task], schedules })
  await errand.clock.advance(2 * hour)
  await drain(errand)
  // The opposite of the fault: no match fires a second time, a minute later.
  assert.deepEqual(heard.all, [
    `half 00:30:00 ${JSON.stringify(input)}`,
    'plain 00:45:00 null',
    `half 01:30:00 ${JSON.stringify(input)}`,
    'plain 01:45:00 null',
  ])
})

test('E34: run once by date, at the start, later, and at the stop; sync or async, names apart', async (t) => {
  const calls: string[] = []
  const call = (name: string) => async (): Promise<void> => void calls.push(name)
  const clock = new VirtualClock()
  const schedules = [
    schedule({ name: 'date', at: new Date(clock.now() + hour), run: call('date') }),
    schedule({ name: 'start', on: 'start', run: () => void calls.push('start') }),
    schedule({ name: 'delayed', after: '60s', run: call('delayed') }),
    schedule({ name: 'stop', on: 'stop', run: call('stop') }),
  ]
  const errand = await started(t, { schedules, clock } as never)
  await errand.clock.advance(minute)
  assert.deepEqual(calls, ['start', 'delayed'])
  await errand.clock.advance(2 * hour)
  assert.deepEqual(calls, ['start', 'delayed', 'date'])
  await errand.close()
  assert.deepEqual(calls, ['start', 'delayed', 'date', 'stop'])
  const run = call('again')
  const twice = [
    schedule({ name: 'a', on: 'start', run }),
    schedule({ name: 'a', on: 'stop', run }),
  ]
  assert.throws(() => testErrand({ schedules: twice }), /Two schedules are called a/)
})

test('E35: the cron grammar, with what EasyJobs cannot: steps, lists, names, day OR weekday, months', async () => {
  const next = (cron: string, count: number) => planned({ cron }, '2026-01-01T00:00:00Z', count)
  assert.deepEqual(await next('0 12 * JAN,MAR *', 1), ['2026-01-01T12:00:00'])
  assert.deepEqual(await next('0 0 13 * FRI', 3), [
    '2026-01-02T00:00:00',
    '2026-01-09T00:00:00',
    '2026-01-13T00:00:00',
  ])
  assert.deepEqual(await next('0 0 * * SUN-TUE', 3), [
    '2026-01-04T00:00:00',
    '2026-01-05T00:00:00',
    '2026-01-06T00:00:00',
  ])
  assert.deepEqual(await next('0 0 * * 7', 1), await next('0 0 * * 0', 1))
  assert.throws(
    () => schedule({ name: 'never', cron: '0 0 31 2 *', run: () => {} }),
    /never matches/,
  )
})

test('E35: ticks missed while nobody ran are not lost, and several processes fire each once', async (t) => {
  const database = new MemoryDatabase()
  const clock = new VirtualClock()
  const heard = new Heard()
  const start = async (): Promise<Errand> => {
    const errand = createErrand({
      store: memory({ clock, database }),
      tasks: [heard.task],
      schedules: [
        schedule({ name: 'latest', task: heard.task, cron: '*/10 * * * *' }),
        schedule({ name: 'all', task: heard.task, cron: '*/10 * * * *', missed: 'all' }),
      ],
    })
    t.after(() => stopped(clock, errand))
    await errand.worker().start()
    return errand
  }
  const [first, second] = [await start(), await start()]
  await clock.advance(11 * minute)
  assert.deepEqual(heard.all.toSorted(), ['all 00:10:00 null', 'latest 00:10:00 null'])
  await Promise.all([first, second].map((errand) => stopped(clock, errand)))
  heard.all.length = 0
  await clock.advance(34 * minute)
  await start()
  await clock.advance(minute)
  assert.deepEqual(heard.all.toSorted(), [
    'all 00:20:00 null',
    'all 00:30:00 null',
    'all 00:40:00 null',
    'latest 00:40:00 null',
  ])
})

test('T30: an entry has a key, a schedule, a task with its data and a time to keep it', async (t) => {
  const heard = new Heard()
  const schedules = [
    schedule({
      name: 'entry',
      task: heard.task,
      input: { data: 1 },
      every: '1h',
      group: 'reports',
      retry: { limit: 3 },
    }),
  ]
  const errand = await started(t, { tasks: [heard.task], schedules })
  await errand.clock.advance(hour + minute)
  await drain(errand)
  const [job] = (await errand.jobs.list()).jobs
  assert.deepEqual([job?.schedule, job?.group, job?.state], ['entry', 'reports', 'completed'])
  assert.equal(job?.plannedAt?.getTime(), errand.clock.now() - (errand.clock.now() % hour))
})

test('T31: a regular schedule needs all of its sets, from Monday as 0, at any second', async () => {
  const calendar = { seconds: 7, minutes: [0, 30], hours: 3, weekdays: [0], months: [1, 2] }
  assert.deepEqual(await planned({ calendar }, '2026-01-01T00:00:00Z', 3), [
    '2026-01-05T03:00:07',
    '2026-01-05T03:30:07',
    '2026-01-12T03:00:07',
  ])
  const both = { minutes: 0, hours: 0, days: 13, weekdays: 4 }
  assert.deepEqual(await planned({ calendar: both }, '2026-01-01T00:00:00Z', 1), [
    '2026-02-13T00:00:00',
  ])
  for (const field of [{ seconds: 60 }, { weekdays: 7 }, { months: 0 }, { days: [] }])
    assert.throws(() => schedule({ name: 'a', calendar: field, run: () => {} }), {
      code: 'invalid-option',
    })
})

test('T31: its zone is its own, else that of the app, and never that of the machine', async () => {
  const { task: one } = new Heard()
  const calendar = { hours: 9, minutes: 0 }
  const errand = testErrand({
    tasks: [one],
    timezone: 'Asia/Tokyo',
    schedules: [
      schedule({ name: 'own', task: one, calendar, timezone: '-03:00' }),
      schedule({ name: 'app', task: one, calendar }),
    ],
  })
  const first = async (name: string) =>
    (await errand.schedules.next(name)).map((time) => time.getUTCHours())
  assert.deepEqual([await first('own'), await first('app')], [[12], [0]])
  await errand.close()
})

test('T32: a rule of its own says when, and a policy of its own which of the missed ticks run', async (t) => {
  const database = new MemoryDatabase()
  const clock = new VirtualClock()
  const heard = new Heard()
  const rule = (after: Date): Date =>
    new Date((Math.floor(after.getTime() / (7 * minute)) + 1) * 7 * minute)
  const missed = {
    earliest: 'first',
    latest: 'latest',
    every: (ticks: readonly Date[]) => ticks,
  } as const
  const start = async (): Promise<Errand> => {
    const errand = createErrand({
      store: memory({ clock, database }),
      tasks: [heard.task],
      schedules: Object.entries(missed).map(([name, policy]) =>
        schedule({ name, task: heard.task, at: rule, missed: policy }),
      ),
    })
    t.after(() => stopped(clock, errand))
    await errand.worker().start()
    return errand
  }
  await stopped(clock, await start())
  await clock.advance(22 * minute)
  await start()
  await clock.advance(minute)
  const counts = Object.keys(missed).map(
    (name) => heard.all.filter((one) => one.startsWith(`${name} `)).length,
  )
  assert.deepEqual(counts, [1, 1, 3])
  const [earliest = '', latest = ''] = ['earliest', 'latest'].map(
    (name) => heard.all.find((one) => one.startsWith(name))?.split(' ')[1],
  )
  assert.ok(earliest < latest)
})

test('T33: a tick fires at its second, and its job carries the planned time', async (t) => {
  const heard = new Heard()
  const schedules = [schedule({ name: 'seconds', task: heard.task, cron: '3,4 0 0 * * *' })]
  const errand = await started(t, { tasks: [heard.task], schedules })
  await errand.clock.advance(5_000)
  await drain(errand)
  assert.deepEqual(heard.all, ['seconds 00:00:03 null', 'seconds 00:00:04 null'])
})

test('T34: a first start fires nothing from the past, and an old tick is not replayed beyond its window', async (t) => {
  const database = new MemoryDatabase()
  const clock = new VirtualClock()
  const heard = new Heard()
  const start = async (): Promise<Errand> => {
    const errand = createErrand({
      store: memory({ clock, database }),
      tasks: [heard.task],
      schedules: [
        schedule({
          name: 'daily',
          task: heard.task,
          cron: '0 1 * * *',
          window: '2h',
          missed: 'all',
        }),
      ],
    })
    t.after(() => stopped(clock, errand))
    await errand.worker().start()
    return errand
  }
  await clock.advance(90 * minute)
  const first = await start()
  await clock.advance(minute)
  assert.deepEqual(heard.all, [])
  await stopped(clock, first)
  // A year later, at 02:31: only the tick of this day is within its window.
  await clock.advance(365 * 24 * hour + hour)
  await start()
  await clock.advance(minute)
  assert.deepEqual(heard.all, ['daily 01:00:00 null'])
})

test('T35, T36: schedulers of different names keep apart, and what vanished from one is dropped', async (t) => {
  const database = new MemoryDatabase()
  const clock = new VirtualClock()
  const { task: one } = new Heard()
  const start = async (scheduler: string, names: readonly string[]): Promise<Errand> => {
    const schedules = names.map((name) => schedule({ name, task: one, cron: '0 0 1 1 *' }))
    const store = memory({ clock, database })
    const errand = createErrand({ store, tasks: [one], scheduler, schedules })
    t.after(() => stopped(clock, errand))
    await errand.worker().start()
    return errand
  }
  const names = async (errand: Errand): Promise<readonly string[]> =>
    (await errand.schedules.list()).map(({ name, owner }) => `${name} ${owner}`)
  const app = await start('app', ['a', 'b'])
  const other = await start('other', ['c'])
  assert.deepEqual(await names(app), ['a code (app)', 'b code (app)', 'c code (other)'])
  const newer = await start('app', ['a'])
  await clock.advance(5 * minute)
  // A rolling deploy: the old release still declares b.
  assert.equal((await names(newer)).length, 3)
  await stopped(clock, app)
  await clock.advance(3 * minute)
  assert.deepEqual(await names(newer), ['a code (app)', 'c code (other)'])
  await stopped(clock, other)
})

/** Closes an app whose clock a test moves. */
function stopped(clock: VirtualClock, errand: Errand): Promise<void> {
  return passing(clock, errand.close())
}
