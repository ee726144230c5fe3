/** What holds for a job here: its task, its policy, and what its call said. */
import type { App } from '../app/app.ts'
import { readStoredOptions, type StoredOptions } from '../app/new-job.ts'
import type { Policy } from '../core/options.ts'
import type { Definition } from '../core/task.ts'
import type { ClaimedJob } from '../store/job.ts'

export interface Rules {
  /** Null for a task that is not known here. */
  readonly definition: Definition | null
  readonly policy: Policy
  readonly stored: StoredOptions
  /** Whether all of the job can be read. One that cannot comes to nothing but its failure. */
  readonly isReadable: boolean
}

/** What of the rules decides how a job ends. */
export interface EndRules extends Pick<Rules, 'policy' | 'stored' | 'isReadable'> {
  readonly definition: Pick<Definition, 'onSuccess' | 'onFailure' | 'publish'> | null
}

/** Finds the rules of a job: the same for whoever starts it and whoever ends it. */
export type RulesOf = (job: ClaimedJob) => Rules

/** Reads the rules of a job, whose task is defined so here. */
export function readRules(app: App, definition: Definition | null, job: ClaimedJob): Rules {
  const stored = readStoredOptions(job.options)
  return {
    definition,
    stored: stored ?? {},
    policy: app.policy(stored?.layer ?? null, definition, job.queue),
    isReadable: stored !== null && job.why !== 'unreadable',
  }
}
