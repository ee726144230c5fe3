/**
 * The planned times of schedules. Pure: no clock, and of the machine only its time zone data.
 *
 * A cron text or a calendar names wall times, and a zone makes instants of them. Two kinds of rules
 * differ where clocks jump:
 *
 * - **Times of day** (the hours are given): each wall time comes once. One that is shown twice,
 *   where clocks are set back, is its first instant. Those that a gap swallows, where clocks are
 *   set forward, are made up together by one tick at the first instant after the gap, or by none
 *   with `dst: 'skip'`. That tick is named by the last of them, so that its name stands for all
 *   before it. If the end of the gap is itself a wall time of the rule, its tick stands for them.
 * - **Elapsed time** (the hour field begins with `*`, or the calendar has no hours): a tick is
 *   wherever clocks show such a wall time, so in both passes of an overlap, and there is nothing to
 *   make up for a gap.
 */
import { wallRuleOf } from './calendar.ts'
import { readCron } from './cron.ts'
import { WallTimes, type WallRule } from './wall-times.ts'
import type { When } from './when.ts'
import { firstShowing, instantsOf, isShown, longestOffsetMs, zoneOf, type Zone } from './zone.ts'

export type { Calendar } from './calendar.ts'
export { readTimezone, readWhen, type Dst, type When, type WhenOptions } from './when.ts'

/** A planned time of a schedule. */
export interface Tick {
  /** The instant, milliseconds since 1970. */
  readonly at: number
  /**
   * What names it whatever time zone data a process has: the wall time, `'2026-10-25T02:30:00'`,
   * and with elapsed time `'2026-10-25T02:30:00#2'` the second time that clocks show it. For
   * intervals and lists the instant as ISO text.
   */
  readonly name: string
}

/** The planned times of a rule, in order; pure. */
export interface Ticks {
  /** The first after an instant (exclusive); null when there is none any more. */
  after(ms: number): Tick | null
  /**
   * The first after another tick, by its name and not by its instant, so that processes with
   * different time zone data agree. After a tick of another kind of rule: the first after its
   * instant.
   */
  next(tick: Tick): Tick | null
}

/** Rules that are kept ready. At about 1 KB each, and enough for all schedules of a large app. */
const rulesKept = 10_000

const ready = new Map<string, Ticks>()

/**
 * The planned times of a rule. Cheap to call again: equal rules share what was made of them. Throws
 * `invalid-option` for a rule of another release that this one cannot read, and for a zone that the
 * data of this process does not have.
 */
export function ticksOf(when: When): Ticks {
  switch (when.kind) {
    case 'every':
      return everyTicks(when.everyMs, when.startMs)
    case 'at':
      return listedTicks(when.times)
    case 'cron':
      return kept(`${when.dst} ${when.timezone} ${when.cron}`, () => {
        const rule = readCron(when.cron, 'cron')
        const kind = rule.anyHour ? 'elapsed' : when.dst
        return wallTicks(rule, zoneOf(when.timezone), kind)
      })
    case 'calendar':
      return kept(`${when.dst} ${when.timezone} ${JSON.stringify(when.calendar)}`, () => {
        const kind = when.calendar.hours === null ? 'elapsed' : when.dst
        return wallTicks(wallRuleOf(when.calendar), zoneOf(when.timezone), kind)
      })
  }
}

function kept(key: string, make: () => Ticks): Ticks {
  const known = ready.get(key)
  if (known !== undefined) return known
  const [oldest] = ready.size >= rulesKept ? ready.keys() : []
  if (oldest !== undefined) ready.delete(oldest)
  const made = make()
  ready.set(key, made)
  return made
}

/** Far enough below the end of what a Date holds that offsets can be added. */
const latestMs = 8.64e15 - 1e12

/** Before there were time zones nothing is planned. */
const earliestMs = Date.UTC(1800, 0, 1)

/** Also true of what is no number. */
function isFar(ms: number): boolean {
  return !(ms < latestMs)
}

function wallTicks(rule: WallRule, zone: Zone, kind: 'elapsed' | 'run' | 'skip'): Ticks {
  const walls = new WallTimes(rule)
  return kind === 'elapsed' ? elapsedTicks(walls, zone) : dailyTicks(walls, zone, kind)
}

/** Times of day: each wall time once. */
function dailyTicks(walls: WallTimes, zone: Zone, dst: 'run' | 'skip'): Ticks {
  function afterWall(from: number): Tick | null {
    for (let wall = walls.next(from); wall !== null;) {
      const stretch = firstShowing(zone, wall)
      if (isShown(stretch, wall)) return { at: wall - stretch.offset, name: nameOf(wall, 1) }
      const gapEnd = stretch.start + stretch.offset
      const last = walls.last(wall, gapEnd)
      if (dst === 'run' || last === gapEnd) return { at: stretch.start, name: nameOf(last, 1) }
      wall = walls.next(last)
    }
    return null
  }
  function after(given: number): Tick | null {
    if (isFar(given)) return null
    const ms = Math.max(given, earliestMs)
    const stretch = zone.at(ms)
    // What clocks show a second time has had its tick.
    return afterWall(Math.max(ms + stretch.offset, stretch.shown - 1))
  }
  return {
    after,
    next(tick) {
      const named = readName(tick.name)
      return named === null ? after(tick.at) : afterWall(named.wall)
    },
  }
}

/**
 * After so many stretches without a tick there is none any more: gaps swallow all that the rule
 * names, as of midnight on the last Friday of April in Cairo. A year has at most a handful of
 * stretches, and each try but the first few goes on to the next wall time of the rule.
 */
const mostTries = 200

/** Elapsed time: whenever clocks show one of the wall times. */
function elapsedTicks(walls: WallTimes, zone: Zone): Ticks {
  function after(given: number): Tick | null {
    if (isFar(given)) return null
    const ms = Math.max(given, earliestMs)
    let stretch = zone.at(ms)
    let from = ms + stretch.offset
    for (let tries = 0; tries < mostTries; tries++) {
      const wall = walls.next(from)
      if (wall !== null && isShown(stretch, wall)) {
        const occurrence = wall < stretch.shown ? 2 : 1
        return { at: wall - stretch.offset, name: nameOf(wall, occurrence) }
      }
      // For a day, clocks may be set back to a wall time before the one that was looked for.
      const isOnward = stretch.end > ms + longestOffsetMs
      if (isOnward && wall === null) return null
      const jump = isOnward && wall !== null ? wall - longestOffsetMs : stretch.end
      const instant = Math.max(stretch.end, jump)
      stretch = zone.at(instant)
      from = instant + stretch.offset - 1
    }
    return null
  }
  return {
    after,
    next(tick) {
      const named = readName(tick.name)
      if (named === null) return after(tick.at)
      const instants = instantsOf(zone, named.wall)
      const instant = instants[named.occurrence - 1] ?? instants.at(-1)
      return after(instant ?? firstShowing(zone, named.wall).start - 1)
    },
  }
}

function everyTicks(everyMs: number, startMs: number | null): Ticks {
  const start = startMs ?? 0
  const after = (ms: number): Tick | null => {
    if (startMs !== null && ms < startMs) return instantTick(startMs)
    return instantTick(start + (Math.floor((ms - start) / everyMs) + 1) * everyMs)
  }
  return { after, next: (tick) => after(instantOf(tick)) }
}

function listedTicks(times: readonly number[]): Ticks {
  const after = (ms: number): Tick | null => {
    const time = times.find((one) => one > ms)
    return time === undefined ? null : instantTick(time)
  }
  return { after, next: (tick) => after(instantOf(tick)) }
}

function instantTick(at: number): Tick | null {
  return isFar(at) ? null : { at, name: new Date(at).toISOString() }
}

function instantOf({ at, name }: Tick): number {
  const instant = name.endsWith('Z') ? Date.parse(name) : Number.NaN
  return Number.isNaN(instant) ? at : instant
}

function nameOf(wall: number, occurrence: number): string {
  const text = new Date(wall).toISOString().slice(0, -'.000Z'.length)
  return occurrence === 1 ? text : `${text}#${occurrence}`
}

/** Reads the name of a wall time; null for another. */
function readName(name: string): { wall: number; occurrence: number } | null {
  const [, text, occurrence = '1'] = /^([\d+-]+T[\d:]+)(?:#(\d))?$/.exec(name) ?? []
  const wall = text === undefined ? Number.NaN : Date.parse(`${text}Z`)
  return isFar(wall) || wall < earliestMs ? null : { wall, occurrence: Number(occurrence) }
}
