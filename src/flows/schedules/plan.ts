/** Which ticks of a schedule are due, and which of them run. Pure. */
import { createHash } from 'node:crypto'
import type { StoredSchedule } from './stored.ts'
import type { Tick, Ticks } from './ticks.ts'
import type { TickChoice } from './timing.ts'

/** The most ticks of a schedule that are looked at, and run, at once. */
const mostTicks = 100

/** A tick is late for so long, and missed after it. */
const missedAfterMs = 15_000

/** The next tick to deal with, and from when on. */
export interface Due {
  readonly tick: Tick
  /** When it is to fire, its jitter included. */
  readonly at: number
}

/** Ticks that are due. The cursor goes to the last of them, whether or not it runs. */
export interface DuePlan {
  readonly last: Tick
  /** Those that run, oldest first. */
  readonly run: readonly Tick[]
}

/** The first tick that was not dealt with; null when there is none, or it is over. */
export function nextDue(schedule: StoredSchedule, ticks: Ticks): Due | null {
  if (schedule.paused !== null || isSpent(schedule)) return null
  const tick = firstTick(schedule, ticks)
  if (tick === null || isOver(schedule, tick)) return null
  return { tick, at: tick.at + jitterOf(schedule, tick) }
}

/** What is due at `now`; null when nothing is. */
export function planDue(
  schedule: StoredSchedule,
  ticks: Ticks,
  now: number,
  choose: TickChoice | null,
): DuePlan | null {
  const first = nextDue(schedule, ticks)
  if (first === null || first.at > now) return null
  const recent = dueSince(schedule, ticks, first.tick, now)
  const last = recent.at(-1) ?? first.tick
  const run = chosen(schedule, ticks, first.tick, recent, now, choose)
  const left = schedule.limit === null ? run.length : schedule.limit - schedule.fired
  return { last, run: run.slice(0, left) }
}

function chosen(
  schedule: StoredSchedule,
  ticks: Ticks,
  first: Tick,
  recent: readonly Tick[],
  now: number,
  choose: TickChoice | null,
): readonly Tick[] {
  const late = recent.filter(({ at }) => now - at <= missedAfterMs + schedule.jitterMs)
  if (now - first.at <= missedAfterMs + schedule.jitterMs) return late
  const inWindow = recent.filter(({ at }) => now - at <= schedule.windowMs)
  switch (schedule.missed) {
    case 'skip':
      return late
    case 'latest':
      return inWindow.slice(-1)
    case 'first': {
      const earliest =
        now - first.at <= schedule.windowMs ? first : ticks.after(now - schedule.windowMs - 1)
      return earliest !== null && earliest.at <= now && !isOver(schedule, earliest)
        ? [earliest]
        : []
    }
    case 'all':
      return inWindow
    case 'own':
      return choose === null ? [] : pick(schedule, inWindow, choose)
  }
}

/** Runs the code's own choice, which may only choose among what it is given. Throws what it throws. */
function pick(schedule: StoredSchedule, due: readonly Tick[], choose: TickChoice): readonly Tick[] {
  const wanted: unknown = choose(due.map(({ at }) => new Date(at)))
  if (!Array.isArray(wanted))
    throw new TypeError(`missed of schedule ${schedule.name} must return a list of its ticks`)
  const times = new Set(
    wanted.map((date: unknown) => (date instanceof Date ? date.getTime() : null)),
  )
  return due.filter(({ at }) => times.has(at))
}

/**
 * The last ticks that are due, oldest first, at most 100. Looks at a stretch of time before now
 * that grows until it holds as many, so that a year of missed seconds costs no more than a minute.
 */
function dueSince(
  schedule: StoredSchedule,
  ticks: Ticks,
  first: Tick,
  now: number,
): readonly Tick[] {
  for (let stretchMs = 60_000; ; stretchMs *= 4) {
    const isWhole = now - first.at <= stretchMs
    const begin = isWhole ? first : ticks.after(now - stretchMs)
    const due: Tick[] = []
    for (let tick = begin; tick !== null && isDue(schedule, tick, now); tick = ticks.next(tick)) {
      due.push(tick)
      if (due.length > mostTicks) due.shift()
    }
    if (isWhole || due.length === mostTicks) return due
  }
}

function isDue(schedule: StoredSchedule, tick: Tick, now: number): boolean {
  return !isOver(schedule, tick) && tick.at + jitterOf(schedule, tick) <= now
}

function firstTick({ cursor, startMs }: StoredSchedule, ticks: Ticks): Tick | null {
  const { at, name } = cursor
  if (startMs !== null && startMs > at) return ticks.after(startMs - 1)
  return name === null ? ticks.after(at) : ticks.next({ at, name })
}

function isOver({ endMs }: StoredSchedule, { at }: Tick): boolean {
  return endMs !== null && at > endMs
}

/** Whether as many ticks ran as it is limited to. */
function isSpent({ limit, fired }: StoredSchedule): boolean {
  return limit !== null && fired >= limit
}

/** By how much a tick is put off: the same in every process. */
export function jitterOf({ name, jitterMs }: StoredSchedule, tick: Tick): number {
  if (jitterMs === 0) return 0
  const hash = createHash('sha256').update(`${name}\n${tick.name}`).digest()
  return Math.floor((hash.readUInt32BE(0) / 2 ** 32) * jitterMs)
}
