/**
 * What the clocks of a zone show, minute by minute or second by second, as `Intl` writes it.
 * Nothing here computes with offsets: each instant is formatted for itself.
 */

const dayMs = 86_400_000

/** The wall times of a window, one for each step, and where the clocks jumped. */
export interface WallTable {
  readonly timezone: string
  readonly stepMs: number
  /** The instant of the first step. */
  readonly start: number
  /** How many first steps only serve to know what was shown before; no tick is expected there. */
  readonly lead: number
  /** Wall times in steps since 1970. */
  readonly walls: Int32Array | Float64Array
  /** How often each wall time has been shown up to its step, within the table. */
  readonly occurrences: Uint8Array
  /** The steps before which clocks were set forward. */
  readonly forward: readonly number[]
  /** Equal for tables that show the same. */
  readonly key: string
}

const formats = new Map<string, Intl.DateTimeFormat>()

function formatOf(timezone: string): Intl.DateTimeFormat {
  const known = formats.get(timezone)
  if (known !== undefined) return known
  const made = new Intl.DateTimeFormat('en-US', {
    timeZone: timezone,
    hourCycle: 'h23',
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
  })
  formats.set(timezone, made)
  return made
}

/** The wall time of an instant, in milliseconds since 1970 as if it were UTC. */
function wallOf(format: Intl.DateTimeFormat, ms: number): number {
  const text = format.format(ms)
  // '03/29/2026, 02:30:00'
  const seconds = digits(text, 12) * 3_600 + digits(text, 15) * 60 + digits(text, 18)
  const date = text.slice(0, 10)
  return midnightOf(date) + seconds * 1_000
}

/** Formatted instants follow each other, so that the date is nearly always the one before. */
let lastDate = ''
let lastMidnight = 0

function midnightOf(date: string): number {
  if (date !== lastDate) {
    const year = digits(date, 6) * 100 + digits(date, 8)
    lastMidnight = Date.UTC(year, digits(date, 0) - 1, digits(date, 3))
    lastDate = date
  }
  return lastMidnight
}

function digits(text: string, at: number): number {
  return (text.charCodeAt(at) - 48) * 10 + text.charCodeAt(at + 1) - 48
}

/** Formats a window, and a lead before it. */
export function wallTable(
  timezone: string,
  from: number,
  to: number,
  { stepMs = 60_000, leadMs = 1.25 * dayMs }: { stepMs?: number; leadMs?: number } = {},
): WallTable {
  const format = formatOf(timezone)
  const start = Math.floor((from - leadMs) / stepMs) * stepMs
  const count = Math.ceil((to - start) / stepMs)
  const walls = new Float64Array(count)
  const occurrences = new Uint8Array(count)
  const forward: number[] = []
  const isBack: boolean[] = []
  let key = `${stepMs}`
  for (let step = 0; step < count; step++) {
    const wall = wallOf(format, start + step * stepMs) / stepMs
    if (!Number.isInteger(wall)) throw new Error(`${timezone} has offsets that are no whole step.`)
    walls[step] = wall
    const before = walls[step - 1] ?? wall - 1
    if (wall > before + 1) forward.push(step)
    if (wall <= before) isBack[step] = true
    if (step === 0 || wall !== before + 1) key += ` ${step}:${wall}`
  }
  occurrences.fill(1)
  // Only what follows a step back can have been shown before.
  for (const back of Object.keys(isBack).map(Number)) {
    const seen = new Map<number, number>()
    for (let step = 0; step < back; step++) {
      const wall = walls[step] ?? 0
      seen.set(wall, (seen.get(wall) ?? 0) + 1)
    }
    for (let step = back; step < count; step++) {
      occurrences[step] = (seen.get(walls[step] ?? 0) ?? 0) + 1
    }
  }
  const lead = Math.max(0, Math.round((from - start) / stepMs))
  return { timezone, stepMs, start, lead, walls, occurrences, forward, key: `${key} ${count}` }
}

/** The instants, to within a few hours, at which the clocks of a zone jump. */
export function jumpsOf(timezone: string, from: number, to: number): number[] {
  const probeMs = dayMs / 2
  const format = formatOf(timezone)
  const found: number[] = []
  let offset = wallOf(format, from) - from
  for (let ms = from + probeMs; ms < to; ms += probeMs) {
    const there = wallOf(format, ms) - ms
    if (there !== offset) found.push(ms - probeMs / 2)
    offset = there
  }
  return found
}
