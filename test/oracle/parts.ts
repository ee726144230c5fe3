/** The parts of the oracle, each cut into shares by its zones: one for each thread. */
import { compare, noCounts, type Counts } from './compare.ts'
import { drawFrom, randomRule, rules, rulesInFull, rulesOfSeconds, type Draw } from './rules.ts'
import { jumpsOf, wallTable, type WallTable } from './wall-table.ts'

const dayMs = 86_400_000
const hourMs = 3_600_000

/** One of several equal shares of the work. */
export interface Share {
  readonly index: number
  readonly of: number
}

export const all: Share = { index: 0, of: 1 }

/** Every zone that `Intl` lists, UTC, and some offsets. */
export const zones: readonly string[] = [
  ...Intl.supportedValuesOf('timeZone'),
  'UTC',
  '+05:45',
  '-03:30',
]

/** Jumps of half an hour, of two hours, at midnight, before it; four a year; and ordinary ones. */
export const zonesInFull: readonly string[] = [
  'Europe/Berlin',
  'America/New_York',
  'Australia/Lord_Howe',
  'America/Nuuk',
  'Africa/Casablanca',
  'Africa/Cairo',
  'Asia/Beirut',
  'America/Havana',
  'Pacific/Chatham',
  'Asia/Gaza',
  'America/Santiago',
  'Antarctica/Troll',
]

const firstYear = 2020
const lastYear = 2040

/** Two days on each side of each jump of some zones in some years. */
export function aroundJumps(
  share: Share,
  {
    of = zones,
    from = firstYear,
    to = lastYear,
  }: { of?: readonly string[]; from?: number; to?: number } = {},
): Counts {
  const counts = noCounts()
  for (const timezone of shareOf(of, share)) {
    const jumps = jumpsOf(timezone, Date.UTC(from, 0, 1), Date.UTC(to + 1, 0, 1))
    // A zone without jumps gets one window.
    for (const jump of jumps.length > 0 ? jumps : [Date.UTC(from, 5, 1)]) {
      const table = wallTable(timezone, jump - 2 * dayMs, jump + 2 * dayMs)
      counts.steps += table.walls.length
      compare(table, rules, counts)
    }
  }
  return counts
}

/** Whole decades of some zones, month by month. */
export function inFull(
  share: Share,
  {
    of = zonesInFull,
    from = firstYear,
    to = lastYear,
  }: { of?: readonly string[]; from?: number; to?: number } = {},
): Counts {
  const counts = noCounts()
  for (const timezone of shareOf(of, share)) {
    for (let month = from * 12; month < (to + 1) * 12; month++) {
      const table = wallTable(timezone, Date.UTC(0, month, 1), Date.UTC(0, month + 1, 1))
      counts.steps += table.walls.length
      compare(table, rulesInFull, counts)
    }
  }
  return counts
}

/** Rules with seconds, second by second, within three hours of the jumps of two years. */
export function bySeconds(
  share: Share,
  {
    of = zones,
    from = 2026,
    to = 2027,
  }: { of?: readonly string[]; from?: number; to?: number } = {},
): Counts {
  const counts = noCounts()
  for (const timezone of shareOf(of, share)) {
    for (const near of jumpsOf(timezone, Date.UTC(from, 0, 1), Date.UTC(to + 1, 0, 1))) {
      const jump = exactJump(timezone, near)
      const options = { stepMs: 1_000, leadMs: 1.5 * hourMs }
      const table = wallTable(timezone, jump - hourMs, jump + 1.5 * hourMs, options)
      counts.steps += table.walls.length
      compare(table, rulesOfSeconds, counts)
    }
  }
  return counts
}

function exactJump(timezone: string, near: number): number {
  const table = wallTable(timezone, near - dayMs / 2, near + dayMs / 2)
  const walls = [...table.walls]
  const step = walls.findIndex((wall, index) => index > 0 && wall !== (walls[index - 1] ?? 0) + 1)
  return table.start + step * table.stepMs
}

/** Rules that were made up, each on some windows that were drawn; half of these hold a jump. */
export function atRandom(
  share: Share,
  { seed, rules: count, windows }: { seed: number; rules: number; windows: number },
): Counts {
  const counts = noCounts()
  // Each share draws for itself, and what it draws depends on nothing else.
  const draw = drawFrom(seed + share.index * 7_919)
  const pool = Array.from({ length: Math.min(count * 2, 600) }, () => randomWindow(draw))
  for (const { walls } of pool) counts.steps += walls.length
  for (let rule = share.index; rule < count; rule += share.of) {
    const made = randomRule(draw)
    for (let window = 0; window < windows; window++) {
      const table = pool[draw(pool.length)]
      if (table !== undefined) compare(table, [made], counts)
    }
  }
  return counts
}

function randomWindow(draw: Draw): WallTable {
  const timezone = zones[draw(zones.length)] ?? 'UTC'
  const day = Date.UTC(2000, 0, 1) + draw(41 * 365) * dayMs
  const [jump] = draw(2) === 0 ? jumpsOf(timezone, day, day + 366 * dayMs) : []
  const from = jump === undefined ? day : jump - (1 + draw(48)) * hourMs
  return wallTable(timezone, from, from + 3 * dayMs)
}

function shareOf<T>(list: readonly T[], { index, of }: Share): T[] {
  return list.filter((_, position) => position % of === index)
}
