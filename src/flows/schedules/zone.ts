/**
 * Time zones: how far the clocks of a place are from UTC, from the data of `Intl`. A zone is a row
 * of stretches, each with one offset. Where one ends, clocks jump: forward over a gap of wall times
 * that no clock shows, or back, so that an overlap of wall times is shown twice.
 */
import { ErrandError } from '../../core/errors.ts'
import { shownValue } from '../../core/shown.ts'

/** A time through which the clocks of a zone keep one distance from UTC. */
export interface Stretch {
  /** The first instant, in milliseconds since 1970. */
  readonly start: number
  /** The first instant that no longer belongs to it. */
  readonly end: number
  /** Wall time less UTC, in milliseconds. */
  readonly offset: number
  /** All wall times that clocks have shown shortly before the start are below this one. */
  readonly shown: number
}

/** A time zone; equal names give the same object. */
export interface Zone {
  /** The stretch in which an instant lies. */
  at(ms: number): Stretch
}

const dayMs = 86_400_000

/** No offset is longer than this, nor is a jump between two. */
export const longestOffsetMs: number = dayMs

/**
 * How far apart offsets are compared. Of all zones since 1970, and as planned until 2040, no two
 * jumps are closer than six days (Gaza 2040).
 */
const probeMs = 2 * dayMs

/**
 * How many years of a zone are kept: two reach for now, the rest is for look-ups of long ago or far
 * ahead.
 */
const yearsKept = 64

/** More than there are zones. */
const zonesKept = 1_000

const zones = new Map<string, Zone>()

/**
 * The zone of a name that `readTimezone` returned. Throws `invalid-option` for a name that this
 * process does not know, though another may.
 */
export function zoneOf(timezone: string): Zone {
  const known = zones.get(timezone)
  if (known !== undefined) return known
  if (zones.size >= zonesKept) zones.clear()
  const offset = fixedOffset(timezone)
  const zone = offset === null ? new NamedZone(timezone) : fixedZone(offset)
  zones.set(timezone, zone)
  return zone
}

/** Milliseconds of an offset such as `'+09:00'` or `'-03:30'`; null for what is none. */
export function fixedOffset(timezone: string): number | null {
  if (timezone === 'UTC') return 0
  const [, sign, hours, minutes] = /^([+-])([01]\d|2[0-3]):([0-5]\d)$/.exec(timezone) ?? []
  if (sign === undefined) return null
  const ms = (Number(hours) * 60 + Number(minutes)) * 60_000
  return sign === '-' ? 0 - ms : ms
}

function fixedZone(offset: number): Zone {
  const always: Stretch = {
    start: Number.NEGATIVE_INFINITY,
    end: Number.POSITIVE_INFINITY,
    offset,
    shown: Number.NEGATIVE_INFINITY,
  }
  return { at: () => always }
}

/**
 * The first stretch that shows a wall time or, if none does, the one after the gap in which the
 * wall time is.
 */
export function firstShowing(zone: Zone, wall: number): Stretch {
  let stretch = zone.at(wall - longestOffsetMs)
  while (stretch.end + stretch.offset <= wall) stretch = zone.at(stretch.end)
  return stretch
}

/** Whether the clocks of a stretch show a wall time. */
export function isShown(stretch: Stretch, wall: number): boolean {
  return wall >= stretch.start + stretch.offset && wall < stretch.end + stretch.offset
}

/** The instants at which clocks show a wall time, in order. */
export function instantsOf(zone: Zone, wall: number): number[] {
  const found: number[] = []
  let stretch = firstShowing(zone, wall)
  while (stretch.start <= wall + longestOffsetMs) {
    if (isShown(stretch, wall)) found.push(wall - stretch.offset)
    if (stretch.end === Number.POSITIVE_INFINITY) break
    stretch = zone.at(stretch.end)
  }
  return found
}

function offsetFormat(timeZone: string): Intl.DateTimeFormat {
  try {
    return new Intl.DateTimeFormat('en-US', { timeZone, timeZoneName: 'longOffset' })
  } catch (cause) {
    throw new ErrandError(
      'invalid-option',
      `The time zone data of this process has no ${shownValue(timeZone)}; a newer Node may.`,
      { cause },
    )
  }
}

/**
 * A zone of the IANA data, looked up by years. A stretch also ends with each year of UTC, where
 * nothing jumps.
 */
class NamedZone implements Zone {
  readonly #format: Intl.DateTimeFormat
  readonly #years = new Map<number, readonly Stretch[]>()
  /** The stretch that was found last: most look-ups are near the one before. */
  #last: Stretch | null = null

  constructor(timeZone: string) {
    this.#format = offsetFormat(timeZone)
  }

  at(ms: number): Stretch {
    const last = this.#last
    if (last !== null && ms >= last.start && ms < last.end) return last
    const stretches = this.#stretchesOf(new Date(ms).getUTCFullYear())
    const found = stretches.findLast(({ start }) => start <= ms)
    if (found === undefined) throw new RangeError(`${ms} is no time that a date can hold.`)
    this.#last = found
    return found
  }

  #stretchesOf(year: number): readonly Stretch[] {
    const known = this.#years.get(year)
    if (known !== undefined) return known
    if (this.#years.size >= yearsKept) this.#years.clear()
    const found = this.#find(Date.UTC(year, 0, 1), Date.UTC(year + 1, 0, 1))
    this.#years.set(year, found)
    return found
  }

  /**
   * The stretches between two instants. Looks at a few days before, since a jump there may still
   * count for `shown`.
   */
  #find(from: number, to: number): Stretch[] {
    const found: Stretch[] = []
    let shown = Number.NEGATIVE_INFINITY
    let start = from - probeMs
    let offset = this.#offset(start)
    const close = (end: number): void => {
      if (end > from) found.push({ start: Math.max(start, from), end, offset, shown })
      shown = Math.max(shown, end + offset)
      start = end
    }
    for (let probe = start; probe < to;) {
      const next = Math.min(probe + probeMs, to)
      const there = this.#offset(next)
      if (there !== offset) {
        const jump = this.#jump(probe, next, offset)
        // A jump at the end is the start of the next year.
        if (jump < to) {
          close(jump)
          offset = there
        }
      }
      probe = next
    }
    close(to)
    return found
  }

  /** The first instant between two that no longer has an offset; jumps are at whole seconds. */
  #jump(from: number, to: number, offset: number): number {
    let before = from
    let after = to
    while (after - before > 1_000) {
      const middle = before + Math.floor((after - before) / 2_000) * 1_000
      if (this.#offset(middle) === offset) before = middle
      else after = middle
    }
    return after
  }

  /** Reads `1/31/2026, GMT-03:30`; without figures it is UTC, and in history there are seconds. */
  #offset(ms: number): number {
    const text = this.#format.format(ms)
    const [, sign, hours, minutes, seconds] =
      /GMT(?:([+-])(\d{2}):(\d{2})(?::(\d{2}))?)?$/.exec(text) ?? []
    if (sign === undefined) return 0
    const size = (Number(hours) * 3_600 + Number(minutes) * 60 + Number(seconds ?? 0)) * 1_000
    return sign === '-' ? -size : size
  }
}
