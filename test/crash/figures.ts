/** What a run came to, in numbers. */
import { linesOf, type History, type Of } from './history.ts'
import type { Line } from './ledger.ts'

export interface Figures {
  readonly calls: number
  readonly jobs: number
  readonly kills: number
  readonly stops: number
  readonly retirements: number
  readonly rescues: number
  /** Milliseconds from the signal that silenced a process to the moment when a job of it was leased to another. */
  readonly rescueMs: readonly number[]
  /** Jobs that were taken from a process which nobody had silenced. */
  readonly rescuedFromLiving: number
  /** Attempts that returned although the job was completed by another one. */
  readonly duplicates: number
  readonly refusals: number
  /** Runs that were given up because their worker knew that the lease was lost. */
  readonly givenUp: number
  readonly drainMs: number
}

/** The figures that a run must reach to count. */
export type Least = Pick<Figures, 'kills' | 'rescues' | 'refusals'>

export function figuresOf(history: History, drainMs: number): Figures {
  const { lines, jobs, calls, stories } = history
  const signals = linesOf(lines, 'signal')
  const verdicts = linesOf(lines, 'verdict')
  const rescued = linesOf(lines, 'handed').filter(({ why }) => why === 'lost')
  const rescues = new Set(rescued.map(({ id, token }) => `${id} ${token}`))
  const refusals = verdicts.filter(({ answer }) => answer === 'stale').length
  const silences = rescued.map((handed) =>
    silenceBefore(handed, stories.get(handed.id)!.lines, signals),
  )
  const returned = [...stories.values()].map(
    (story) => linesOf(story.lines, 'end').filter(({ how }) => how === 'returns').length,
  )
  return {
    calls: calls.size,
    jobs: jobs.length,
    kills: signals.filter(({ signal }) => signal === 'SIGKILL').length,
    stops: signals.filter(({ signal }) => signal === 'SIGSTOP').length,
    retirements: signals.filter(({ signal }) => signal === 'stop').length,
    rescues: verdicts.filter(
      (one) => one.answer === 'settled' && rescues.has(`${one.id} ${one.token}`),
    ).length,
    rescueMs: silences.filter((ms) => typeof ms === 'number').toSorted((a, b) => a - b),
    rescuedFromLiving: silences.filter((ms) => ms === 'never').length,
    duplicates: returned.reduce((sum, count) => sum + Math.max(0, count - 1), 0),
    refusals,
    givenUp: Math.max(0, linesOf(lines, 'told-stale').length - refusals),
    drainMs,
  }
}

/** How long the last holder of a job had been silent when the job was handed to another; `never` when nobody had silenced it. */
function silenceBefore(
  handed: Of<'handed'>,
  lines: readonly Line[],
  signals: readonly Of<'signal'>[],
): number | 'never' | 'unknown' {
  const holder = linesOf(lines, 'handed').findLast(({ token }) => token < handed.token)
  // One that was killed within its claim left no line; the line before it is of a lease that was settled.
  const isSettled = linesOf(lines, 'verdict').some(({ token }) => token === holder?.token)
  if (holder === undefined || isSettled) return 'unknown'
  const silenced = signals.findLast(
    ({ process, signal, at }) => process === holder.by && at <= handed.at && signal !== 'SIGCONT',
  )
  return silenced === undefined ? 'never' : handed.at - silenced.at
}

/** The value below which so much of a sorted list lies. */
export function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
}
