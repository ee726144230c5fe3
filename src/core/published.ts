/** What becomes known of a job outside: the input of tasks that `publish` names. */
import type { FailureReport } from './enqueue-options.ts'

interface EndedJob {
  readonly id: string
  readonly task: string
  readonly queue: string
  readonly parent: string | null
  /** Of the run that ended it: with the id it names this end, and no other. */
  readonly token: number
  /** ISO 8601. */
  readonly createdAt: string
}

/** How a job ended that completed or failed. */
export type Published<Output = unknown> =
  | {
      readonly status: 'completed'
      readonly job: EndedJob
      /** Null as well for one that is too long to travel with the rest: then `outputOmitted` is true. */
      readonly output: Output | null
      readonly outputOmitted: boolean
    }
  | { readonly status: 'failed'; readonly job: EndedJob; readonly report: FailureReport }
