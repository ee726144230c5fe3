import assert from 'node:assert/strict'
import test from 'node:test'
import { ErrandError } from '../../core/errors.ts'
import { readTimezone, readWhen, type WhenOptions } from './ticks.ts'

function problem(given: object): string {
  try {
    readWhen(given, 'Schedule nightly', 'UTC')
  } catch (error) {
    assert.ok(error instanceof ErrandError && error.code === 'invalid-option')
    assert.ok(!error.message.includes('\n'))
    return error.message
  }
  return 'nothing is wrong'
}

test('a rule is stored as plain JSON with all that it depends on', () => {
  const rules: [WhenOptions, object][] = [
    [
      { cron: ' 0  9 * * MON-FRI ', timezone: 'europe/berlin' },
      { kind: 'cron', cron: '0 9 * * MON-FRI', timezone: 'Europe/Berlin', dst: 'run' },
    ],
    [
      { cron: '@daily', dst: 'skip' },
      { kind: 'cron', cron: '@daily', timezone: 'Asia/Tokyo', dst: 'skip' },
    ],
    [{ every: '15m' }, { kind: 'every', everyMs: 900_000, startMs: null }],
    [
      { every: 1_500, start: new Date(7) },
      { kind: 'every', everyMs: 1_500, startMs: 7 },
    ],
    [{ at: new Date(5) }, { kind: 'at', times: [5] }],
    [{ at: [new Date(9), new Date(5), new Date(9)] }, { kind: 'at', times: [5, 9] }],
    [
      { calendar: { hours: new Set([17, 9]), minutes: 0, weekdays: [0, 4, 0], days: '*' } },
      {
        kind: 'calendar',
        calendar: {
          seconds: [0],
          minutes: [0],
          hours: [9, 17],
          days: null,
          weekdays: [0, 4],
          months: null,
          years: null,
        },
        timezone: 'Asia/Tokyo',
        dst: 'run',
      },
    ],
  ]
  for (const [given, stored] of rules) {
    const when = readWhen(given, 'Schedule nightly', 'Asia/Tokyo')
    assert.deepEqual(when, stored)
    assert.deepEqual(JSON.parse(JSON.stringify(when)), when)
  }
})

test('bad rules are refused with one line', () => {
  const mistakes: [object, string][] = [
    [{}, 'Schedule nightly needs one of cron, every, calendar and at, not none.'],
    [
      { cron: '* * * * *', every: '1m' },
      'Schedule nightly needs one of cron, every, calendar and at, not cron and every.',
    ],
    [{ cron: '0 25 * * *' }, 'Schedule nightly.cron has hour 25; it is from 0 to 23.'],
    [
      { cron: '0 0 31 4 *' },
      'Schedule nightly.cron "0 0 31 4 *" never matches: no month that it names has such a day.',
    ],
    [
      { calendar: { days: 30, months: [2] } },
      'Schedule nightly.calendar never matches: no month that it names has such a day.',
    ],
    [
      { calendar: { days: 29, months: 2, years: [2027] } },
      'Schedule nightly.calendar never matches: no month that it names has such a day.',
    ],
    [
      { calendar: { hours: [] } },
      'Schedule nightly.calendar.hours is empty; leave it out for any.',
    ],
    [
      { calendar: { weekdays: 7 } },
      'Schedule nightly.calendar.weekdays must be a whole number from 0 to 6, several of them, ' +
        "or '*', not 7.",
    ],
    [
      { calendar: { hours: '9' } },
      'Schedule nightly.calendar.hours must be a whole number from 0 to 23, several of them, ' +
        'or \'*\', not "9".',
    ],
    [
      { calendar: { hour: 9 } },
      'Schedule nightly.calendar has no option hour. Did you mean hours?',
    ],
    [{ every: 0 }, 'Schedule nightly.every must be at least 1 s, not 0.'],
    [{ every: '999ms' }, 'Schedule nightly.every must be at least 1 s, not "999ms".'],
    [
      { every: '1m', start: '2026-01-01' },
      'Schedule nightly.start must be a valid Date, not "2026-01-01".',
    ],
    [{ at: [] }, 'Schedule nightly.at is an empty list; it needs at least one Date.'],
    [{ at: new Date(Number.NaN) }, 'Schedule nightly.at must be a valid Date, not an object.'],
    [
      { at: Array.from({ length: 1_001 }, (_, ms) => new Date(ms)) },
      'Schedule nightly.at lists 1001 times; it can hold 1000.',
    ],
    [
      { cron: '* * * * *', dst: 'twice' },
      "Schedule nightly.dst must be 'run' or 'skip', not \"twice\".",
    ],
    [
      { cron: '* * * * *', timezone: 'Europe/Berlim' },
      "Schedule nightly.timezone must be an IANA name such as 'Europe/Berlin', or an offset such " +
        'as \'+09:00\', not "Europe/Berlim". Did you mean Europe/Berlin?',
    ],
  ]
  for (const [given, message] of mistakes) assert.equal(problem(given), message)
})

test('29 February matches, on one weekday too', () => {
  readWhen({ cron: '29 2 29 2 *' }, 'x', 'UTC')
  readWhen({ calendar: { days: 29, months: 2, weekdays: 3 } }, 'x', 'UTC')
})

test('a time zone is an IANA name as it was given, or an offset', () => {
  const zones: [string, string][] = [
    ['Europe/Berlin', 'Europe/Berlin'],
    ['asia/tokyo', 'Asia/Tokyo'],
    // Which of the two names is the first differs between releases.
    ['Europe/Kyiv', 'Europe/Kyiv'],
    ['Asia/Kolkata', 'Asia/Kolkata'],
    ['Etc/UTC', 'Etc/UTC'],
    ['utc', 'UTC'],
    ['+09:00', '+09:00'],
    ['-03:30', '-03:30'],
    ['-00:00', 'UTC'],
  ]
  for (const [given, read] of zones) assert.equal(readTimezone(given, 'timezone'), read)
})

test('what is no time zone is refused, and never read as that of the machine', () => {
  for (const wrong of ['', 'local', '+9', '+24:00', '+0900', 'GMT+5', 'Z', null, undefined, 9]) {
    assert.throws(() => readTimezone(wrong, 'timezone'), { code: 'invalid-option' }, String(wrong))
  }
})
