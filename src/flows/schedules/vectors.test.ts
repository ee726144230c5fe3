/**
 * Cases that others have published, restated: of the open cron pattern specification (OCPS) 1.0 to
 * 1.4, and of croner's and cron-parser's tests of daylight saving. Where Errand differs, a comment
 * says how and why.
 */
import assert from 'node:assert/strict'
import test from 'node:test'
import { readCron } from './cron.ts'
import { ticksOf } from './ticks.ts'
import { WallTimes } from './wall-times.ts'

/** Cron texts, wall times that match, and some that do not. */
const matching: readonly (readonly [
  cron: string,
  yes: readonly string[],
  no: readonly string[],
])[] = [
  // OCPS 1.0
  ['15 10 * * *', ['2025-03-10T10:15:00'], ['2025-03-10T10:14:00', '2025-03-10T10:15:30']],
  ['30 8 * jan Mon', ['2025-01-06T08:30:00'], ['2025-02-03T08:30:00']],
  [
    '5-59/15 9 * * *',
    ['2025-03-10T09:05:00', '2025-03-10T09:20:00', '2025-03-10T09:35:00', '2025-03-10T09:50:00'],
    ['2025-03-10T09:15:00'],
  ],
  ['0 12 1 * MON', ['2025-10-01T12:00:00', '2025-10-06T12:00:00'], ['2025-10-07T12:00:00']],
  ['0 12 * * MON', ['2025-10-06T12:00:00'], ['2025-10-07T12:00:00']],
  // A range over all days restricts, a star does not.
  ['0 12 1-31 * MON', ['2025-10-06T12:00:00', '2025-10-07T12:00:00'], ['2025-10-08T11:00:00']],
  // OCPS 1.1
  ['@yearly', ['2026-01-01T00:00:00'], ['2026-01-02T00:00:00']],
  ['@monthly', ['2026-02-01T00:00:00'], ['2026-02-02T00:00:00']],
  ['@weekly', ['2025-10-05T00:00:00'], ['2025-10-06T00:00:00']],
  ['@daily', ['2025-10-07T00:00:00'], ['2025-10-07T00:01:00']],
  ['@midnight', ['2025-10-07T00:00:00'], ['2025-10-07T12:00:00']],
  ['@hourly', ['2025-10-07T10:00:00'], ['2025-10-07T10:01:00']],
  // OCPS 1.2
  ['30 15 10 * * *', ['2025-03-10T10:15:30'], ['2025-03-10T10:15:29']],
  // OCPS 1.3
  ['0 0 L * *', ['2025-02-28T00:00:00', '2024-02-29T00:00:00'], ['2025-02-27T00:00:00']],
  ['0 0 * * FRI#L', ['2025-02-28T00:00:00'], ['2025-02-21T00:00:00']],
  ['0 0 * * 5L', ['2025-02-28T00:00:00'], ['2025-02-21T00:00:00']],
  ['0 0 * * TUE#3', ['2025-06-17T00:00:00'], ['2025-06-10T00:00:00']],
  ['0 12 15W * *', ['2025-06-16T12:00:00', '2025-03-14T12:00:00'], ['2025-06-15T12:00:00']],
  // The nearest weekday stays in its month.
  ['0 12 1W * *', ['2025-02-03T12:00:00'], ['2025-02-01T12:00:00', '2025-01-31T12:00:00']],
  // OCPS 1.4
  ['0 12 1 * +MON', ['2025-09-01T12:00:00'], ['2025-09-08T12:00:00', '2025-10-01T12:00:00']],
  ['0 12 1 * +MON-FRI', ['2025-10-01T12:00:00'], ['2025-11-01T12:00:00']],
  ['0 12 1 * +MON#1', ['2025-09-01T12:00:00'], ['2025-10-06T12:00:00']],
  ['0 0 ? * MON', ['2025-10-06T00:00:00'], ['2025-10-07T00:00:00']],
  ['0 0 1 * ?', ['2025-10-01T00:00:00'], ['2025-10-06T00:00:00']],
]

test('wall times match as published', () => {
  for (const [cron, yes, no] of matching) {
    const times = new WallTimes(readCron(cron, 'cron'))
    const matches = (text: string): boolean => {
      const wall = Date.parse(`${text}Z`)
      return times.next(wall - 1) === wall
    }
    for (const text of yes) assert.ok(matches(text), `${cron} at ${text}`)
    for (const text of no) assert.ok(!matches(text), `${cron} not at ${text}`)
  }
})

const refused: readonly string[] = [
  // OCPS 1.0
  '60 0 * * *',
  '0 0 10-5 * *',
  '0 0 /30 * *',
  // OCPS 1.1: a nickname stands alone; @reboot may be refused where there is no such event.
  '@daily 0 0 * * *',
  '@reboot',
  // OCPS 1.3
  '0 12 1-15W * *',
  // OCPS 1.4
  '0 12 +1 * MON',
  '0 +12 * * *',
  '0 12 1 * +',
  '? 12 * * *',
  // Ours: OCPS 1.2 has a seventh field for years; calendars have years here.
  '0 15 10 * * * 2025',
]

test('texts are refused as published', () => {
  for (const cron of refused) {
    assert.throws(() => readCron(cron, 'cron'), { code: 'invalid-option' }, cron)
  }
  // Ours: OCPS 1.1 refuses capitals in nicknames, and 1.3 a list with W; both say what they mean.
  for (const cron of ['@Daily', '0 12 1W,15W * *']) readCron(cron, 'cron')
})

interface Daylight {
  readonly cron: string
  readonly timezone: string
  readonly from: string
  /** The first ticks, in UTC. */
  readonly ours: readonly string[]
}

const daylight: readonly Daylight[] = [
  // OCPS 1.4 leaves out what a gap swallows; croner's tests expect 03:30 for 02:30, cron-parser's
  // 04:00 for 03:00: as far after the gap as the time was inside. Ours runs right after the gap, as
  // Vixie's cron does; with `skip` it does as OCPS.
  {
    cron: '30 2 * * *',
    timezone: 'America/New_York',
    from: '2025-03-09T06:00:00Z',
    ours: ['2025-03-09T07:00:00Z', '2025-03-10T06:30:00Z'],
  },
  {
    cron: '30 1 * * *',
    timezone: 'Europe/London',
    from: '2025-03-30T00:00:00Z',
    ours: ['2025-03-30T01:00:00Z', '2025-03-31T00:30:00Z'],
  },
  {
    cron: '0 3 * * *',
    timezone: 'Europe/Athens',
    from: '2016-03-27T00:00:01Z',
    ours: ['2016-03-27T01:00:00Z', '2016-03-28T00:00:00Z'],
  },
  // cron-parser moves the list into the next hour: 04:00, 04:20 and 04:40. Ours is one run.
  {
    cron: '*/20 3 * * *',
    timezone: 'Europe/Athens',
    from: '2016-03-27T00:00:01Z',
    ours: ['2016-03-27T01:00:00Z', '2016-03-28T00:00:00Z', '2016-03-28T00:20:00Z'],
  },
  // An overlap: once, at the first, as all say, also when asked between the two.
  {
    cron: '30 1 * * *',
    timezone: 'America/New_York',
    from: '2025-11-02T04:00:00Z',
    ours: ['2025-11-02T05:30:00Z', '2025-11-03T06:30:00Z'],
  },
  {
    cron: '30 1 * * *',
    timezone: 'America/New_York',
    // Croner goes back to the first here.
    from: '2025-11-02T06:00:00Z',
    ours: ['2025-11-03T06:30:00Z'],
  },
  {
    cron: '30 1 * * *',
    timezone: 'Europe/London',
    from: '2025-10-26T00:00:00Z',
    ours: ['2025-10-26T00:30:00Z', '2025-10-27T01:30:00Z'],
  },
  {
    cron: '0 3 * * *',
    timezone: 'Europe/Athens',
    from: '2016-10-29T23:00:01Z',
    ours: ['2016-10-30T00:00:00Z', '2016-10-31T01:00:00Z'],
  },
  {
    cron: '*/20 3 * * *',
    timezone: 'Europe/Athens',
    from: '2016-10-29T23:00:01Z',
    ours: [
      '2016-10-30T00:00:00Z',
      '2016-10-30T00:20:00Z',
      '2016-10-30T00:40:00Z',
      '2016-10-31T01:00:00Z',
    ],
  },
  // Hours that begin with a star: each hour that there is, both passes.
  {
    cron: '0 * * * *',
    timezone: 'Europe/Athens',
    from: '2016-03-26T23:30:00Z',
    ours: ['2016-03-27T00:00:00Z', '2016-03-27T01:00:00Z', '2016-03-27T02:00:00Z'],
  },
  {
    cron: '0 * 27 * *',
    timezone: 'Europe/Athens',
    from: '2016-03-26T22:00:01Z',
    ours: ['2016-03-26T23:00:00Z', '2016-03-27T00:00:00Z', '2016-03-27T01:00:00Z'],
  },
  {
    cron: '0 * 30 * *',
    timezone: 'Europe/Athens',
    from: '2016-10-29T23:00:01Z',
    ours: ['2016-10-30T00:00:00Z', '2016-10-30T01:00:00Z', '2016-10-30T02:00:00Z'],
  },
  {
    // Croner's test expects the second pass to be left out, with an hour between two minutes.
    cron: '* * * * *',
    timezone: 'America/Los_Angeles',
    from: '2025-11-02T08:58:00Z',
    ours: ['2025-11-02T08:59:00Z', '2025-11-02T09:00:00Z', '2025-11-02T09:01:00Z'],
  },
  // Where the machine is plays no part (croner #284): Sydney's gap, seen in UTC.
  {
    cron: '0 * * * *',
    timezone: 'UTC',
    from: '2025-10-05T02:00:00Z',
    ours: ['2025-10-05T03:00:00Z', '2025-10-05T04:00:00Z'],
  },
  // cron-parser #131 and #137.
  {
    cron: '0 9 1 1 *',
    timezone: 'America/Sao_Paulo',
    from: '2018-10-30T00:59:00Z',
    ours: ['2019-01-01T11:00:00Z', '2020-01-01T12:00:00Z'],
  },
  {
    cron: '0 12 * * 3',
    timezone: 'America/New_York',
    from: '2018-10-28T04:00:00Z',
    ours: ['2018-10-31T16:00:00Z', '2018-11-07T17:00:00Z'],
  },
]

test('daylight saving is as published, or differs as written above', () => {
  for (const { cron, timezone, from, ours } of daylight) {
    const ticks = ticksOf({ kind: 'cron', cron, timezone, dst: 'run' })
    let at = Date.parse(from)
    for (const expected of ours) {
      at = ticks.after(at)?.at ?? Number.NaN
      assert.equal(at, Date.parse(expected), `${cron} in ${timezone} after ${from}`)
    }
  }
})

test('with skip a gap is as OCPS 1.4 has it', () => {
  const ticks = ticksOf({
    kind: 'cron',
    cron: '30 2 * * *',
    timezone: 'America/New_York',
    dst: 'skip',
  })
  const from = Date.parse('2025-03-09T06:00:00Z')
  assert.equal(ticks.after(from)?.at, Date.parse('2025-03-10T06:30:00Z'))
})
