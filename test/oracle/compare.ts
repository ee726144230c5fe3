/** Sets what the sources say against what the brute force expects. */
import { ticksOf, type Tick, type Ticks } from '../../src/flows/schedules/ticks.ts'
import { expectedTicks, type Expected } from './expected.ts'
import { plainRule, type PlainRule } from './plain-rule.ts'
import type { OracleRule } from './rules.ts'
import type { WallTable } from './wall-table.ts'

/** What was looked at, and what differs. */
export interface Counts {
  windows: number
  /** Rules times windows. */
  comparisons: number
  /** Steps that were formatted. */
  steps: number
  ticks: number
  differences: number
  /** The first differences, in words. */
  readonly shown: string[]
}

export function noCounts(): Counts {
  return { windows: 0, comparisons: 0, steps: 0, ticks: 0, differences: 0, shown: [] }
}

export function addCounts(to: Counts, from: Counts): void {
  to.windows += from.windows
  to.comparisons += from.comparisons
  to.steps += from.steps
  to.ticks += from.ticks
  to.differences += from.differences
  to.shown.push(...from.shown.slice(0, mostShown - to.shown.length))
}

const mostShown = 20

const plainRules = new WeakMap<OracleRule, PlainRule>()

/** What rules expect of tables that show the same, as those of neighbouring zones often do. */
const expectations = new Map<string, readonly Expected[]>()
const mostExpectations = 20_000

/** Compares some rules on one table. */
export function compare(table: WallTable, rules: readonly OracleRule[], counts: Counts): void {
  counts.windows++
  for (const rule of rules) {
    counts.comparisons++
    const expected = expectationsOf(rule, table)
    counts.ticks += expected.length
    const difference = firstDifference(rule, table, expected)
    if (difference === null) continue
    counts.differences++
    if (counts.shown.length < mostShown) {
      counts.shown.push(`${rule.label} in ${table.timezone}: ${difference}`)
    }
  }
}

function expectationsOf(rule: OracleRule, table: WallTable): readonly Expected[] {
  const key = `${rule.label} ${table.key} ${table.lead}`
  const known = expectations.get(key)
  if (known !== undefined) return known
  const when = rule.in('UTC')
  const plain = plainRules.get(rule) ?? plainRule(when)
  plainRules.set(rule, plain)
  if (expectations.size >= mostExpectations) expectations.clear()
  const made = expectedTicks(plain, when.dst, table)
  expectations.set(key, made)
  return made
}

/** Steps through a window by `next`, asks `after` for each tick again, and asks it in between. */
function firstDifference(
  rule: OracleRule,
  table: WallTable,
  expected: readonly Expected[],
): string | null {
  const ticks = ticksOf(rule.in(table.timezone))
  const { start, stepMs, lead, walls } = table
  const end = start + walls.length * stepMs
  let at = start + lead * stepMs - 1
  let last: Tick | null = null
  for (const { step, name } of [...expected, { step: null, name: '' }]) {
    const wanted = step === null ? null : `${iso(start + step * stepMs)} ${name}`
    const found: Tick | null = last === null ? ticks.after(at) : ticks.next(last)
    const again = ticks.after(at)
    for (const one of [found, again]) {
      const got = one === null || one.at >= end ? null : `${iso(one.at)} ${one.name}`
      if (got === wanted) continue
      const how = one === found && last !== null ? `next(${last.name})` : `after(${iso(at)})`
      return `${how} is ${got ?? 'none'}, expected ${wanted ?? 'none'} before ${iso(end)}`
    }
    if (found === null) break
    last = found
    at = found.at
  }
  return wrongInBetween(ticks, table, expected)
}

/** No multiple of it is a usual time, so that the probes of many windows fall everywhere. */
const probeMs = 97 * 60_000 + 1

function wrongInBetween(
  ticks: Ticks,
  { start, stepMs, lead, walls }: WallTable,
  expected: readonly Expected[],
): string | null {
  let next = 0
  for (let at = start + lead * stepMs; at < start + walls.length * stepMs; at += probeMs) {
    while (start + (expected[next]?.step ?? Infinity) * stepMs <= at) next++
    const wanted = expected[next]
    if (wanted === undefined) return null
    const found = ticks.after(at)
    if (found?.at === start + wanted.step * stepMs && found.name === wanted.name) continue
    return `after(${iso(at)}) is ${found?.name ?? 'none'}, expected ${wanted.name}`
  }
  return null
}

function iso(ms: number): string {
  return new Date(ms).toISOString()
}
