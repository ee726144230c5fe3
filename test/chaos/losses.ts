/**
 * What a fail-over may lose. A master that dies takes along what its replica had not heard: then a call that was answered right
 * before may not have happened, and what it did is done again. Whatever a token forbids stays forbidden.
 */
import { check, type Violation } from './check.ts'
import { linesOf, type History } from './history.ts'

/** How long before the end of a master its answers may have been lost. */
const lagMs = 1_000

/** Rules that hold however much is lost. */
const strict: ReadonlySet<string> = new Set([
  'the store lists a job once',
  'every job is final in the end',
  'one lease settles once',
  'the tokens of a job only grow',
  'a handler starts once under a lease of its own process',
  'no process ends by itself',
])

export interface Judgement {
  readonly violations: readonly Violation[]
  /** Broken rules of jobs that were answered right before a fail-over. */
  readonly losses: readonly Violation[]
}

export function judge(history: History, isLossy: boolean): Judgement {
  const found = check(history)
  if (!isLossy) return { violations: found, losses: [] }
  const ends = linesOf(history.lines, 'server').filter(({ state }) => state === 'down')
  const isLoss = ({ rule, id }: Violation): boolean => {
    if (strict.has(rule) || id === null) return false
    return timesOf(id, history).some((at) =>
      ends.some((end) => at >= end.at - lagMs && at <= end.at + lagMs),
    )
  }
  return {
    violations: found.filter((one) => !isLoss(one)),
    losses: found.filter(isLoss),
  }
}

/** When anybody heard of a job, or of the one that it follows. */
function timesOf(id: string, { stories }: History): readonly number[] {
  const story = stories.get(id)
  const parent = story?.record?.parent ?? null
  const lines = [
    ...(story?.lines ?? []),
    ...(story?.children.flatMap((child) => stories.get(child.id)?.lines ?? []) ?? []),
    ...(parent === null ? [] : (stories.get(parent)?.lines ?? [])),
  ]
  return lines.map(({ at }) => at)
}
