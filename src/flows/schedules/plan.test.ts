import assert from 'node:assert/strict'
import { test } from 'node:test'
import { jitterOf, nextDue, planDue } from './plan.ts'
import type { StoredSchedule } from './stored.ts'
import { ticksOf, type Ticks } from './ticks.ts'

const minute = 60_000
const start = Date.UTC(2026, 0, 1)

function scheduled(over: Partial<StoredSchedule> = {}): StoredSchedule {
  return {
    name: 'each',
    when: { kind: 'every', everyMs: minute, startMs: null },
    enqueues: null,
    startMs: null,
    endMs: null,
    limit: null,
    jitterMs: 0,
    missed: 'latest',
    windowMs: 60 * minute,
    overlap: 'allow',
    pauseOnFailure: false,
    owner: { kind: 'operator' },
    paused: null,
    cursor: { at: start, name: null },
    fired: 0,
    open: [],
    last: [],
    ...over,
  }
}

const ticks = ticksOf({ kind: 'every', everyMs: minute, startMs: null })

/** Minutes after the start at which ticks run; null where nothing is due. */
function run(schedule: StoredSchedule, now: number, own: Ticks = ticks): readonly number[] | null {
  const plan = planDue(schedule, own, now, null)
  return plan?.run.map(({ at }) => (at - start) / minute) ?? null
}

test('nothing is due before the first tick', () => {
  assert.equal(run(scheduled(), start + minute - 1), null)
  assert.deepEqual(run(scheduled(), start + minute), [1])
  assert.equal(nextDue(scheduled(), ticks)?.at, start + minute)
})

test('late ticks all run, in order; what is late by more than 15 s is missed', () => {
  const seconds = ticksOf({ kind: 'every', everyMs: 1_000, startMs: null })
  const late = planDue(scheduled(), seconds, start + 15_000, null)
  assert.equal(late?.run.length, 15)
  const missed = planDue(scheduled(), seconds, start + 17_000, null)
  assert.deepEqual(
    missed?.run.map(({ at }) => at),
    [start + 17_000],
  )
})

test('at most the last hundred ticks of the window run, and the cursor passes all of them', () => {
  const all = scheduled({ missed: 'all', windowMs: 1_000 * minute })
  const now = start + 500 * minute + 1
  const plan = planDue(all, ticks, now, null)
  assert.equal(plan?.run.length, 100)
  assert.equal(plan.run[0]?.at, start + 401 * minute)
  assert.equal(plan.last.at, start + 500 * minute)
})

test('a year of missed seconds costs no more than a minute of them', () => {
  let asked = 0
  const seconds = ticksOf({ kind: 'every', everyMs: 1_000, startMs: null })
  const counted: Ticks = {
    after: (ms) => ((asked += 1), seconds.after(ms)),
    next: (tick) => ((asked += 1), seconds.next(tick)),
  }
  const all = scheduled({ missed: 'all', windowMs: 400 * 24 * 60 * minute })
  const plan = planDue(all, counted, start + 365 * 24 * 60 * minute, null)
  assert.equal(plan?.run.length, 100)
  assert.ok(asked < 1_000, `${asked} ticks were looked at`)
})

test('start, end and limit bound the ticks that run', () => {
  const now = start + 10 * minute
  const all = { missed: 'all' } as const
  assert.deepEqual(run(scheduled({ ...all, startMs: start + 8 * minute }), now), [8, 9, 10])
  assert.deepEqual(run(scheduled({ ...all, endMs: start + 2 * minute }), now), [1, 2])
  assert.deepEqual(run(scheduled({ ...all, limit: 5, fired: 3 }), now), [1, 2])
  assert.equal(nextDue(scheduled({ limit: 5, fired: 5 }), ticks), null)
  const over = scheduled({
    endMs: start + 2 * minute,
    cursor: { at: start + 2 * minute, name: null },
  })
  assert.equal(nextDue(over, ticks), null)
})

test('a paused schedule has no next tick', () => {
  const paused = { at: start, by: 'operator', note: '' } as const
  assert.equal(nextDue(scheduled({ paused }), ticks), null)
})

test('the code may choose among what was missed, and nothing else', () => {
  const own = scheduled({ missed: 'own' })
  const choose = (due: readonly Date[]): readonly Date[] => [...due.slice(1, 2), new Date(start)]
  const plan = planDue(own, ticks, start + 5 * minute, choose)
  assert.deepEqual(
    plan?.run.map(({ at }) => at),
    [start + 2 * minute],
  )
  const wrong = (): never => 'all' as never
  assert.throws(() => planDue(own, ticks, start + 5 * minute, wrong), /must return a list/)
})

test('jitter is the same in every process, between nothing and its bound, and differs by tick', () => {
  const schedule = scheduled({ jitterMs: 10_000 })
  const tickOf = (n: number) => ({ at: start + n * minute, name: `tick-${n}` })
  const jitters = Array.from({ length: 100 }, (_, n) => jitterOf(schedule, tickOf(n)))
  assert.deepEqual(
    jitters,
    jitters.map((_, n) => jitterOf({ ...schedule }, tickOf(n))),
  )
  assert.ok(jitters.every((ms) => ms >= 0 && ms < 10_000))
  assert.ok(new Set(jitters).size > 90)
  const due = nextDue(schedule, ticks)
  assert.equal(due?.at, start + minute + jitterOf(schedule, due!.tick))
})
