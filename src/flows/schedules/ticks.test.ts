import assert from 'node:assert/strict'
import test from 'node:test'
import { readWhen, ticksOf, type Calendar, type Dst, type Tick, type Ticks } from './ticks.ts'

function cronTicks(cron: string, timezone: string, dst: Dst = 'run'): Ticks {
  return ticksOf({ kind: 'cron', cron, timezone, dst })
}

function calendarTicks(calendar: Calendar, timezone: string): Ticks {
  return ticksOf(readWhen({ calendar }, 'calendar', timezone))
}

/** The first ticks after an instant: the instant to the minute, and the name. */
function first(ticks: Ticks, from: string, count: number): string[] {
  const found: Tick[] = []
  let tick = ticks.after(Date.parse(from))
  while (tick !== null && found.length < count) {
    found.push(tick)
    tick = ticks.next(tick)
  }
  return found.map(({ at, name }) => `${new Date(at).toISOString().slice(0, 16)} ${name}`)
}

function instant(text: string): number {
  return Date.parse(text)
}

test('wall times that fall into one gap run once together, right after it', () => {
  assert.deepEqual(first(cronTicks('0,30 2 * * *', 'Europe/Berlin'), '2026-03-28T01:00:00Z', 3), [
    '2026-03-28T01:30 2026-03-28T02:30:00',
    '2026-03-29T01:00 2026-03-29T02:30:00',
    '2026-03-30T00:00 2026-03-30T02:00:00',
  ])
})

test('with skip, wall times that do not exist are left out', () => {
  const ticks = cronTicks('0,30 2 * * *', 'Europe/Berlin', 'skip')
  assert.deepEqual(first(ticks, '2026-03-28T01:00:00Z', 2), [
    '2026-03-28T01:30 2026-03-28T02:30:00',
    '2026-03-30T00:00 2026-03-30T02:00:00',
  ])
})

test('a wall time at the end of a gap is one tick with those inside, under its own name', () => {
  for (const dst of ['run', 'skip'] as const) {
    const ticks = cronTicks('0,30 2-3 * * *', 'Europe/Berlin', dst)
    assert.deepEqual(first(ticks, '2026-03-28T12:00:00Z', 2), [
      '2026-03-29T01:00 2026-03-29T03:00:00',
      '2026-03-29T01:30 2026-03-29T03:30:00',
    ])
  }
})

test('a wall time that occurs twice runs at the first', () => {
  const ticks = cronTicks('0,30 2 * * *', 'Europe/Berlin')
  assert.deepEqual(first(ticks, '2026-10-24T12:00:00Z', 3), [
    '2026-10-25T00:00 2026-10-25T02:00:00',
    '2026-10-25T00:30 2026-10-25T02:30:00',
    '2026-10-26T01:00 2026-10-26T02:00:00',
  ])
  // Asked between the two passes, and in the second.
  for (const at of ['2026-10-25T00:30:00Z', '2026-10-25T01:10:00Z', '2026-10-25T01:45:00Z']) {
    assert.equal(ticks.after(instant(at))?.name, '2026-10-26T02:00:00')
  }
})

test('an hour field that begins with a star follows elapsed time', () => {
  assert.deepEqual(first(cronTicks('30 * * * *', 'Europe/Berlin'), '2026-10-24T23:00:00Z', 4), [
    '2026-10-24T23:30 2026-10-25T01:30:00',
    '2026-10-25T00:30 2026-10-25T02:30:00',
    '2026-10-25T01:30 2026-10-25T02:30:00#2',
    '2026-10-25T02:30 2026-10-25T03:30:00',
  ])
  assert.deepEqual(first(cronTicks('0 */2 * * *', 'Europe/Berlin'), '2026-10-24T23:00:00Z', 3), [
    '2026-10-25T00:00 2026-10-25T02:00:00',
    '2026-10-25T01:00 2026-10-25T02:00:00#2',
    '2026-10-25T03:00 2026-10-25T04:00:00',
  ])
  assert.deepEqual(first(cronTicks('0 */2 * * *', 'Europe/Berlin'), '2026-03-28T22:30:00Z', 2), [
    '2026-03-28T23:00 2026-03-29T00:00:00',
    '2026-03-29T02:00 2026-03-29T04:00:00',
  ])
})

test('a list of all hours is a list of times of day', () => {
  const ticks = cronTicks('30 0-23 * * *', 'Europe/Berlin')
  assert.deepEqual(first(ticks, '2026-10-25T00:00:00Z', 2), [
    '2026-10-25T00:30 2026-10-25T02:30:00',
    '2026-10-25T02:30 2026-10-25T03:30:00',
  ])
})

test('a calendar without hours follows elapsed time, one with hours names times of day', () => {
  const elapsed = calendarTicks({ minutes: 30 }, 'Europe/Berlin')
  assert.deepEqual(first(elapsed, '2026-10-25T00:00:00Z', 2), [
    '2026-10-25T00:30 2026-10-25T02:30:00',
    '2026-10-25T01:30 2026-10-25T02:30:00#2',
  ])
  const daily = calendarTicks({ minutes: [0, 30], hours: 2 }, 'Europe/Berlin')
  assert.deepEqual(first(daily, '2026-03-29T00:30:00Z', 1), [
    '2026-03-29T01:00 2026-03-29T02:30:00',
  ])
})

test('all fields of a calendar must match, and a field that is not given matches any', () => {
  const ticks = calendarTicks({ hours: 3, days: 13, weekdays: 4, seconds: 7 }, 'UTC')
  assert.deepEqual(first(ticks, '2026-01-01T00:00:00Z', 2), [
    '2026-02-13T03:00 2026-02-13T03:00:07',
    '2026-02-13T03:01 2026-02-13T03:01:07',
  ])
  const bounded = calendarTicks({ hours: 0, minutes: 0, days: 1, months: 1, years: [2030] }, 'UTC')
  assert.deepEqual(first(bounded, '2026-01-01T00:00:00Z', 5), [
    '2030-01-01T00:00 2030-01-01T00:00:00',
  ])
  const far = calendarTicks({ minutes: 0, days: 1, months: 1, years: [2150] }, 'Europe/Berlin')
  assert.equal(far.after(instant('2026-01-01T00:00:00Z'))?.name, '2150-01-01T00:00:00')
})

test('a gap that ends on the next date is made up there', () => {
  const ticks = cronTicks('30 23 * * *', 'America/Nuuk')
  assert.deepEqual(first(ticks, '2026-03-28T12:00:00Z', 2), [
    '2026-03-29T01:00 2026-03-28T23:30:00',
    '2026-03-30T00:30 2026-03-29T23:30:00',
  ])
})

test('a gap of half an hour and an overlap of half an hour', () => {
  const ticks = cronTicks('15 2 * * *', 'Australia/Lord_Howe')
  assert.deepEqual(first(ticks, '2026-10-03T00:00:00Z', 1), [
    '2026-10-03T15:30 2026-10-04T02:15:00',
  ])
  const elapsed = cronTicks('45 * * * *', 'Australia/Lord_Howe')
  assert.deepEqual(first(elapsed, '2026-04-04T14:00:00Z', 2), [
    '2026-04-04T14:45 2026-04-05T01:45:00',
    '2026-04-04T15:15 2026-04-05T01:45:00#2',
  ])
})

test('a date that a zone left out is made up when the next begins', () => {
  const ticks = cronTicks('0 12 30 12 *', 'Pacific/Apia')
  assert.deepEqual(first(ticks, '2011-12-01T00:00:00Z', 2), [
    '2011-12-30T10:00 2011-12-30T12:00:00',
    '2012-12-29T22:00 2012-12-30T12:00:00',
  ])
  const skipped = cronTicks('0 12 30 12 *', 'Pacific/Apia', 'skip')
  assert.equal(skipped.after(instant('2011-12-01T00:00:00Z'))?.name, '2012-12-30T12:00:00')
  const elapsed = cronTicks('0 * 30 12 *', 'Pacific/Apia')
  assert.equal(elapsed.after(instant('2011-12-01T00:00:00Z'))?.name, '2012-12-30T00:00:00')
})

test('a time that came twice a day apart is one time of day, and elapses twice', () => {
  // Kwajalein moved to the other side of the date line in 1969, and went back by 23 hours.
  const from = '1969-09-29T12:00:00Z'
  const daily = first(cronTicks('0 12 30 9 *', 'Pacific/Kwajalein'), from, 2)
  assert.deepEqual(
    daily.map((one) => one.slice(17)),
    ['1969-09-30T12:00:00', '1970-09-30T12:00:00'],
  )
  const elapsed = first(cronTicks('0 */12 30 9 *', 'Pacific/Kwajalein'), from, 3)
  assert.deepEqual(
    elapsed.map((one) => one.slice(17)),
    ['1969-09-30T00:00:00', '1969-09-30T12:00:00', '1969-09-30T12:00:00#2'],
  )
})

test('offsets of history that have seconds are true to the second', () => {
  const ticks = cronTicks('0 0 * * *', 'America/New_York')
  const tick = ticks.after(instant('1883-11-01T00:00:00Z'))
  assert.equal(new Date(tick?.at ?? 0).toISOString(), '1883-11-01T04:56:02.000Z')
  // Noon of 18 November came twice within four minutes.
  const noon = cronTicks('* * * * *', 'America/New_York')
  const names = first(noon, '1883-11-18T16:55:00Z', 10).map((one) => one.slice(17))
  assert.ok(names.includes('1883-11-18T11:59:00') && names.includes('1883-11-18T12:00:00'))
  assert.ok(
    names.some((name) => name.endsWith('#2')),
    names.join(' '),
  )
})

test('an overlap that reaches into the next year of UTC is known there', () => {
  // São Tomé left its own time for that of Lisbon at 23:33:04 UTC, and was back at 22:56:19.
  const newYear = instant('1884-01-01T00:00:00Z')
  const daily = cronTicks('30 23 * * *', 'Africa/Sao_Tome')
  assert.equal(daily.after(newYear)?.name, '1884-01-01T23:30:00')
  const elapsed = cronTicks('30 * * * *', 'Africa/Sao_Tome')
  assert.deepEqual(elapsed.after(newYear), {
    at: instant('1884-01-01T00:06:45Z'),
    name: '1883-12-31T23:30:00#2',
  })
})

test('29 February is found over the eight years without one', () => {
  assert.deepEqual(first(cronTicks('0 0 29 2 *', 'UTC'), '2096-03-01T00:00:00Z', 1), [
    '2104-02-29T00:00 2104-02-29T00:00:00',
  ])
  const monday = calendarTicks({ hours: 0, minutes: 0, days: 29, months: 2, weekdays: 0 }, 'UTC')
  assert.equal(monday.after(instant('2072-03-01T00:00:00Z'))?.name, '2112-02-29T00:00:00')
})

test('a rule that falls into gaps only has no tick, and says so soon', () => {
  const ticks = cronTicks('30 */24 * 4 FRI#L', 'Africa/Cairo')
  assert.equal(ticks.after(instant('2026-05-01T00:00:00Z')), null)
})

test('at the ends of what a date holds there is no tick', () => {
  for (const ticks of [
    cronTicks('* * * * *', 'Europe/Berlin'),
    cronTicks('0 0 * * *', 'Europe/Berlin'),
    cronTicks('0 0 * * *', 'UTC'),
    ticksOf({ kind: 'every', everyMs: 1_000, startMs: null }),
  ]) {
    assert.equal(ticks.after(8.64e15), null)
    assert.equal(ticks.after(Number.NaN), null)
    assert.ok(ticks.after(-8.64e15))
    assert.equal(ticks.next({ at: 8.64e15, name: '+275760-09-13T00:00:00' }), null)
    assert.ok(ticks.next({ at: 0, name: '-000001-01-01T00:00:00' }))
  }
  assert.equal(cronTicks('0 0 * * *', 'UTC').after(instant('9999-12-31T12:00:00Z')), null)
})

test('an interval counts from its start, else from the Unix epoch', () => {
  const epoch = ticksOf({ kind: 'every', everyMs: 900_000, startMs: null })
  assert.deepEqual(first(epoch, '2026-01-01T00:00:00Z', 2), [
    '2026-01-01T00:15 2026-01-01T00:15:00.000Z',
    '2026-01-01T00:30 2026-01-01T00:30:00.000Z',
  ])
  const startMs = instant('2026-01-01T00:07:00Z')
  const started = ticksOf({ kind: 'every', everyMs: 900_000, startMs })
  assert.equal(started.after(startMs - 86_400_000)?.at, startMs)
  assert.equal(started.after(startMs)?.at, startMs + 900_000)
  assert.equal(started.after(startMs + 1)?.at, startMs + 900_000)
})

test('a list gives each of its times once', () => {
  const times = ['2026-01-01T00:00:00.500Z', '2026-03-01T12:00:00Z'].map(instant)
  const ticks = ticksOf({ kind: 'at', times })
  assert.deepEqual(first(ticks, '2025-01-01T00:00:00Z', 5), [
    '2026-01-01T00:00 2026-01-01T00:00:00.500Z',
    '2026-03-01T12:00 2026-03-01T12:00:00.000Z',
  ])
})

test('the next tick follows from the name, whatever instant another process gave it', () => {
  const ticks = cronTicks('0,30 2 * * *', 'Europe/Berlin')
  const elsewhere = { at: instant('2026-03-29T09:00:00Z'), name: '2026-03-29T02:00:00' }
  assert.equal(ticks.next(elsewhere)?.name, '2026-03-29T02:30:00')
  const elapsed = cronTicks('30 * * * *', 'Europe/Berlin')
  const second = { at: 0, name: '2026-10-25T02:30:00#2' }
  assert.equal(elapsed.next(second)?.name, '2026-10-25T03:30:00')
  assert.equal(elapsed.next({ at: 0, name: '2026-03-29T02:30:00' })?.name, '2026-03-29T03:30:00')
  // This process knows of no second time.
  assert.equal(elapsed.next({ at: 0, name: '2026-06-01T02:30:00#2' })?.name, '2026-06-01T03:30:00')
})

test('processes whose data differ name no wall time twice and leave none out', () => {
  // One does not know yet that clocks are no longer set forward and back.
  const cursor = (cron: string): string[] => {
    const processes = [cronTicks(cron, 'Europe/Berlin'), cronTicks(cron, '+01:00')]
    const names: string[] = []
    let tick = processes[0]?.after(instant('2026-03-27T00:00:00Z')) ?? null
    for (let turn = 0; tick !== null && tick.name < '2026-04-02'; turn++) {
      names.push(tick.name)
      tick = processes[turn % 2]?.next(tick) ?? null
    }
    return names
  }
  const names = cursor('0,15,30,45 2 * * *')
  assert.deepEqual(names, [...new Set(names)].sort())
  assert.equal(names.length, 5 * 4 + names.filter((name) => name.startsWith('2026-03-29')).length)
  assert.equal(names.filter((name) => name.startsWith('2026-03-29')).at(-1), '2026-03-29T02:45:00')
})

test('a tick of another kind of rule is followed by the first after its instant', () => {
  const at = instant('2026-01-01T00:07:00Z')
  const every = { at, name: '2026-01-01T00:07:00.000Z' }
  assert.equal(cronTicks('0 * * * *', 'UTC').next(every)?.name, '2026-01-01T01:00:00')
  assert.equal(cronTicks('0 3 * * *', 'UTC').next(every)?.name, '2026-01-01T03:00:00')
  const wall = { at, name: '2026-01-01T01:07:00' }
  assert.equal(
    ticksOf({ kind: 'every', everyMs: 60_000, startMs: null }).next(wall)?.at,
    at + 60_000,
  )
})

test('a zone or a rule that this process cannot read is one line', () => {
  const cannot: [() => Ticks, RegExp][] = [
    [
      () => cronTicks('0 0 * * *', 'Mars/Olympus'),
      /^ErrandError: The time zone data .* a newer Node may\.$/,
    ],
    [() => cronTicks('0 0 * * * * 2030', 'UTC'), /^ErrandError: cron must have five fields/],
  ]
  for (const [make, message] of cannot) assert.throws(make, message)
})

test('equal rules share what was made of them', () => {
  const make = (): Ticks => cronTicks('1 2 3 4 *', 'Asia/Tokyo')
  assert.equal(make(), make())
  assert.notEqual(make(), cronTicks('1 2 3 4 *', 'Asia/Seoul'))
  assert.notEqual(make(), cronTicks('1 2 3 4 *', 'Asia/Tokyo', 'skip'))
})
