/** The trials of a run, by store. */
import type { Place } from './part.ts'
import { killed, stopped, type Meanwhile, type Result, type TrialOptions } from './trial.ts'

const kills: readonly Place[] = [
  'after begin',
  'after insert',
  'after complete',
  'before commit',
  'after commit',
]

/** On a file a transaction that is open stops every writer, so that nobody can take the job from it. */
const stops: Readonly<Record<'server' | 'file', readonly (readonly [Place, Meanwhile])[]>> = {
  server: [
    ['after insert', 'taken'],
    ['after complete', 'held'],
    ['after complete', 'session ended'],
  ],
  file: [['before begin', 'taken']],
}

export interface Counts {
  readonly kills: number
  readonly stops: number
}

export async function* trials(
  options: Omit<TrialOptions, 'cuts'>,
  counts: Counts,
): AsyncGenerator<Result> {
  for (const place of kills) yield killed(place, { ...options, cuts: counts.kills })
  for (const [place, meanwhile] of stops[options.ground.server === null ? 'file' : 'server'])
    yield stopped(place, meanwhile, { ...options, cuts: counts.stops })
}

/** What a result must show to count: nothing wrong, and a refusal for each job that was taken from a process that stood still. */
export function isRight({ what, cuts, jobs, rows, refusals, wrong }: Result): boolean {
  const isTaken = what.endsWith('taken') || what.endsWith('ended')
  return wrong.length === 0 && rows === jobs && (!isTaken || refusals >= cuts)
}
