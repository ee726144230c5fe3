import assert from 'node:assert/strict'
import test from 'node:test'
import { Cron } from 'croner'
import fc from 'fast-check'
import { ErrandError } from '../../core/errors.ts'
import { readCron } from './cron.ts'
import { WallTimes } from './wall-times.ts'

/** What is wrong with a cron text, as its author reads it; null for nothing. */
function problem(text: unknown): string | null {
  try {
    readCron(text, 'cron')
    return null
  } catch (error) {
    assert.ok(error instanceof ErrandError && error.code === 'invalid-option')
    return error.message
  }
}

function walls(text: string, from: string, count: number): string[] {
  const times = new WallTimes(readCron(text, 'cron'))
  const found: string[] = []
  let wall = times.next(Date.parse(from))
  while (wall !== null && found.length < count) {
    found.push(new Date(wall).toISOString().slice(0, 19))
    wall = times.next(wall)
  }
  return found
}

test('each mistake is one line that says what to do', () => {
  const mistakes: readonly (readonly [text: unknown, message: string])[] = [
    ['60 0 * * *', 'cron has minute 60; it is from 0 to 59.'],
    ['0 24 * * *', 'cron has hour 24; it is from 0 to 23.'],
    ['0 0 0 * *', 'cron has day of month 0; it is from 1 to 31.'],
    ['0 0 * 13 *', 'cron has month 13; it is from 1 to 12.'],
    ['0 0 * * 8', 'cron has weekday 8; it is from 0 to 7.'],
    ['0 22-2 * * *', 'cron has 22-2: a range runs upwards. Write 22-23,0-2.'],
    ['0 0 * * FRI-MON', 'cron has FRI-MON: a range runs upwards. Write FRI-6,0-MON.'],
    ['5/15 * * * *', 'cron has 5/15: a step needs a range. Write 5-59/15.'],
    ['*/0 * * * *', 'cron has a step of "0": of a minute it is from 1 to 60.'],
    ['*/90 * * * *', 'cron has a step of "90": of a minute it is from 1 to 60.'],
    ['*/ * * * *', 'cron has a step of nothing: of a minute it is from 1 to 60.'],
    ['1,,2 * * * *', 'cron has an empty minute; use 0 to 59.'],
    ['x * * * *', 'cron has "X" as minute; use 0 to 59.'],
    ['? 12 * * *', 'cron has "?" as minute; use 0 to 59.'],
    ['0 0 * FOO *', 'cron has "FOO" as month; use 1 to 12 or JAN to DEC.'],
    ['0 0 * * FRI#6', 'cron has "FRI#6" as weekday; use 0 to 7 or SUN to SAT.'],
    ['0 0 1-15W * *', 'cron has "15W" as day of month; use 1 to 31.'],
    ['0 0 -1 * *', 'cron has an empty day of month; use 1 to 31.'],
    ['0 0 +1 * MON', 'cron has "+1" as day of month; use 1 to 31.'],
    ['0 0 1 * +', 'cron has an empty weekday; use 0 to 7 or SUN to SAT.'],
    ['1-2-3 0 * * *', 'cron has "1-2-3" as minute; use 0 to 59.'],
    ['1.5 0 * * *', 'cron has "1.5" as minute; use 0 to 59.'],
    ['@reboot', "cron cannot be @reboot: a start is no time. Use on: 'start' in its place."],
    [7, "cron must be a cron text such as '0 9 * * MON-FRI', not 7."],
  ]
  for (const [text, message] of mistakes) assert.equal(problem(text), message)
  assert.match(problem('@dayly') ?? '', /^cron must be one of @yearly, .*, not "@dayly"\.$/)
  assert.match(problem('* * * *') ?? '', /^cron must have five fields .*, not "\* \* \* \*"\.$/)
  assert.match(problem('0 0 0 1 1 * 2030') ?? '', /^cron must have five fields/)
  assert.match(problem('') ?? '', /^cron must have five fields/)
  assert.match(problem(`${'0,'.repeat(400)}0 * * * *`) ?? '', /^cron must be a cron text/)
})

test('names, nicknames and letters of any case, and white space of any length', () => {
  assert.equal(problem('  0\t0 * jan-mar,DEC  Mon '), null)
  assert.deepEqual(readCron('@WEEKLY', 'cron'), readCron('0 0 * * SUN', 'cron'))
})

test('0 and 7 are Sunday, in ranges too', () => {
  const sundays = readCron('0 0 * * 0', 'cron')
  assert.deepEqual(readCron('0 0 * * 7', 'cron'), sundays)
  assert.deepEqual(readCron('0 0 * * 5-7', 'cron'), readCron('0 0 * * FRI-SUN', 'cron'))
  assert.deepEqual(readCron('0 0 * * 7-2', 'cron'), readCron('0 0 * * SUN-TUE', 'cron'))
  assert.deepEqual(readCron('0 0 * * 0-7', 'cron'), readCron('0 0 * * SUN-SAT', 'cron'))
})

test('a field that begins with a star restricts nothing, as in the cron of Vixie', () => {
  // Mondays on odd days, not Mondays and odd days.
  assert.deepEqual(walls('0 0 */2 * MON', '2026-06-01T12:00:00Z', 3), [
    '2026-06-15T00:00:00',
    '2026-06-29T00:00:00',
    '2026-07-13T00:00:00',
  ])
  assert.deepEqual(walls('0 0 13 * FRI', '2026-02-01T12:00:00Z', 3), [
    '2026-02-06T00:00:00',
    '2026-02-13T00:00:00',
    '2026-02-20T00:00:00',
  ])
  assert.deepEqual(walls('0 0 13 * +FRI', '2026-02-01T12:00:00Z', 2), [
    '2026-02-13T00:00:00',
    '2026-03-13T00:00:00',
  ])
})

test('which hours follow elapsed time is for the text to say', () => {
  for (const hour of ['*', '*/2', '*,3']) assert.ok(readCron(`0 ${hour} * * *`, 'cron').anyHour)
  for (const hour of ['0-23', '3', '1,2']) assert.ok(!readCron(`0 ${hour} * * *`, 'cron').anyHour)
})

test('wall times agree with those of croner', () => {
  const list = (min: number, max: number): fc.Arbitrary<string> =>
    fc.array(fc.integer({ min, max }), { minLength: 1, maxLength: 3 }).map((one) => one.join())
  const range = (min: number, max: number): fc.Arbitrary<string> =>
    fc
      .tuple(fc.integer({ min, max }), fc.integer({ min, max }), fc.integer({ min: 1, max: 6 }))
      .map(([a, b, step]) => `${Math.min(a, b)}-${Math.max(a, b)}${step > 3 ? `/${step}` : ''}`)
  const field = (min: number, max: number, ...others: string[]): fc.Arbitrary<string> =>
    fc.oneof(list(min, max), range(min, max), fc.constantFrom('*', ...others))
  const texts = fc
    .tuple(
      field(0, 59, '*/10'),
      field(0, 59, '*/7'),
      field(0, 23, '*/5'),
      // Not */2: croner takes that for a restriction.
      field(1, 28, 'L', '15W', '1W', '31', 'LW'),
      field(1, 12, 'JAN-MAR', '*/4', 'FEB,DEC'),
      field(0, 7, 'MON-FRI', 'SUN#L', '5#2', 'TUE#5', '6L', '+MON', '+1-3'),
    )
    .map((fields) => fields.join(' '))
  fc.assert(
    fc.property(texts, fc.integer({ min: 0, max: 2 ** 31 }), (text, seconds) => {
      const croner = new Cron(text, { timezone: 'UTC', paused: true })
      const times = new WallTimes(readCron(text, 'cron'))
      let wall: number | null = seconds * 1_000
      for (let count = 0; wall !== null && count < 6; count++) {
        const theirs: Date | null = croner.nextRun(new Date(wall))
        wall = times.next(wall)
        assert.equal(wall, theirs?.getTime() ?? null)
      }
    }),
    { numRuns: 300 },
  )
})
