/** How the table of states is written: a row is a verb, a column a situation. */
import type { StoredJob } from '../../store/job.ts'
import type { Scene } from './scene.ts'
import type { Situation, SituationName } from './situations.ts'

/** One row of the table. In a situation that is not listed, the verb gives its other answer and changes nothing. */
export interface Verb {
  /** What happens to the job, as in “a ready job that …”. */
  readonly name: string
  readonly act: (scene: Scene, job: Situation) => Promise<unknown>
  readonly legal: Partial<Record<SituationName, Legal>>
  readonly otherwise: (name: SituationName) => unknown
}

interface Legal {
  readonly answer: unknown
  readonly becomes: Becomes
}

/** The fields that change; `token: -1` stands for a new token, greater than the last. */
type Becomes = (before: StoredJob, now: number) => Partial<StoredJob> | 'gone'

/** The situations in which a worker holds the job. */
export const runningNames: readonly SituationName[] = [
  'running',
  'running, asked to cancel',
  'running, with an expired lease',
  'leased as overdue',
]

/** The same legal outcome in several situations. */
export function inEach(
  names: readonly SituationName[],
  answer: unknown,
  becomes: Becomes,
): Verb['legal'] {
  return Object.fromEntries(names.map((name) => [name, { answer, becomes }]))
}
