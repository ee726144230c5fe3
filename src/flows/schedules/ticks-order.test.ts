/** What holds for all rules, zones and times. */
import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { ticksOf, type When } from './ticks.ts'

const zones = [
  'Europe/Berlin',
  'America/Nuuk',
  'Australia/Lord_Howe',
  'Africa/Casablanca',
  'Pacific/Apia',
  'America/Havana',
  'UTC',
  '-03:30',
]

const some = (min: number, max: number): fc.Arbitrary<string> =>
  fc.oneof(
    fc.array(fc.integer({ min, max }), { minLength: 1, maxLength: 4 }).map((list) => list.join()),
    fc
      .tuple(fc.integer({ min, max }), fc.integer({ min, max }))
      .map(([a, b]) => `${Math.min(a, b)}-${Math.max(a, b)}`),
  )

const anyOr = (one: fc.Arbitrary<string>, ...more: string[]): fc.Arbitrary<string> =>
  fc.oneof(fc.constantFrom('*', ...more), one)

const crons: fc.Arbitrary<When> = fc.record({
  kind: fc.constant('cron' as const),
  cron: fc
    .tuple(
      anyOr(some(0, 59), '*/7'),
      anyOr(some(0, 3), '*/2', '*/5', '1,23'),
      anyOr(some(1, 28), 'L', '15W'),
      anyOr(some(1, 12)),
      anyOr(some(0, 7), 'SUN#L', '5#2', '+6'),
    )
    .map((fields) => fields.join(' ')),
  timezone: fc.constantFrom(...zones),
  dst: fc.constantFrom('run', 'skip'),
})

const intervals: fc.Arbitrary<When> = fc.record({
  kind: fc.constant('every' as const),
  everyMs: fc.integer({ min: 1_000, max: 10_000_000 }),
  startMs: fc.option(fc.integer({ min: -1e12, max: 3e12 }), { nil: null }),
})

/** Half of them on the days at which clocks jump. */
const instants = fc.oneof(
  fc.integer({ min: Date.UTC(2005, 0), max: Date.UTC(2038, 0) }),
  fc
    .tuple(
      fc.constantFrom('2026-03-28', '2026-10-24', '2026-04-04', '2026-10-03', '2011-12-29'),
      fc.integer({ min: 0, max: 172_800_000 }),
    )
    .map(([date, ms]) => Date.parse(date) + ms),
)

test('ticks come in strict order, once each, and are found from any instant before them', () => {
  fc.assert(
    fc.property(fc.oneof(crons, crons, crons, intervals), instants, (when, from) => {
      const ticks = ticksOf(when)
      const names = new Set<string>()
      let last = from
      for (let tick = ticks.after(from), count = 0; tick !== null && count < 30; count++) {
        assert.ok(tick.at > last, `${tick.name} is not after ${new Date(last).toISOString()}`)
        assert.ok(!names.has(tick.name), `${tick.name} comes twice`)
        names.add(tick.name)
        assert.deepEqual(ticks.after(tick.at - 1), tick)
        assert.deepEqual(ticks.after(Math.floor((last + tick.at - 1) / 2)), tick)
        last = tick.at
        const next = ticks.next(tick)
        // The instant of the cursor plays no part.
        assert.deepEqual(ticks.next({ at: 0, name: tick.name }), next)
        assert.deepEqual(ticks.after(tick.at), next)
        tick = next
      }
    }),
    { numRuns: 400 },
  )
})

test('names of times of day are in order as texts', () => {
  const daily = crons.filter((when) => when.kind === 'cron' && !/^\S+ \*/.test(when.cron))
  fc.assert(
    fc.property(daily, instants, (when, from) => {
      const ticks = ticksOf(when)
      let name = ''
      for (let tick = ticks.after(from), count = 0; tick !== null && count < 30; count++) {
        assert.ok(tick.name > name)
        name = tick.name
        tick = ticks.next(tick)
      }
    }),
    { numRuns: 200 },
  )
})
