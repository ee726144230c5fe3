/** What a run came to, in numbers. */
import { linesOf, type History } from './history.ts'
import type { Signal } from './ledger.ts'
import { rescuesOf, type Pace, type Rescues } from './rescues.ts'

export interface Figures {
  readonly calls: number
  /** Calls of `enqueue` that rejected, and those of them whose outcome is unknown. */
  readonly rejected: number
  readonly unknown: number
  readonly jobs: number
  /** Workers that were killed, and producers. */
  readonly kills: number
  readonly producerKills: number
  readonly stops: number
  readonly retirements: number
  readonly restarts: number
  /** Times that another server took over. */
  readonly failOvers: number
  /** Times that nothing went between a process and the store. */
  readonly blackHoles: number
  /** Times that what went between a process and the store was lost. */
  readonly silences: number
  readonly terminated: number
  /** Times that servers changed places, or data moved between them. */
  readonly upheavals: number
  /** Rescues that were accepted. */
  readonly rescues: number
  readonly times: Rescues
  /** Attempts that returned although the job was completed by another one. */
  readonly duplicates: number
  readonly refusals: number
  /** Runs that were given up because their worker knew that the lease was lost. */
  readonly givenUp: number
  readonly drainMs: number
}

export function figuresOf(history: History, pace: Pace, drainMs: number): Figures {
  const { lines, jobs, calls, stories } = history
  const signals = linesOf(lines, 'signal')
  const sent = (signal: Signal, role = ''): number =>
    signals.filter((one) => one.signal === signal && one.process.startsWith(role)).length
  const verdicts = linesOf(lines, 'verdict')
  const rescued = linesOf(lines, 'handed').filter(({ why }) => why === 'lost')
  const rescues = new Set(rescued.map(({ id, token }) => `${id} ${token}`))
  const refusals = verdicts.filter(({ answer }) => answer === 'stale').length
  const nacks = linesOf(lines, 'nack')
  let duplicates = 0
  for (const story of stories.values()) {
    const returned = linesOf(story.lines, 'end').filter(({ how }) => how === 'returns')
    duplicates += Math.max(0, returned.length - 1)
  }
  return {
    calls: calls.size,
    rejected: nacks.length,
    unknown: nacks.filter(({ unknown }) => unknown).length,
    jobs: jobs.length,
    kills: sent('SIGKILL', 'worker'),
    producerKills: sent('SIGKILL', 'producer'),
    stops: sent('SIGSTOP'),
    retirements: sent('stop', 'worker'),
    restarts: linesOf(lines, 'server').filter(({ state }) => state === 'up').length,
    failOvers: linesOf(lines, 'server').filter(({ state }) => state === 'moved').length,
    blackHoles: sent('dark'),
    silences: sent('silent'),
    terminated: linesOf(lines, 'terminated').length,
    upheavals: linesOf(lines, 'upheaval').length,
    rescues: verdicts.filter(
      (one) => one.answer === 'settled' && rescues.has(`${one.id} ${one.token}`),
    ).length,
    times: rescuesOf(history, pace),
    duplicates,
    refusals,
    givenUp: Math.max(0, linesOf(lines, 'told-stale').length - refusals),
    drainMs,
  }
}

/** The value below which so much of a sorted list lies. */
export function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
}
