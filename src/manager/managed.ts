/** What a manager needs of the app that it stands before: the public face of `createErrand`. */
import type { Control } from '../client/control.ts'
import type { Jobs } from '../client/jobs.ts'
import type { EnqueuedJob, Entry } from '../client/enqueued-job.ts'
import type { Queues } from '../client/queues.ts'
import type { Stats, StatsOptions } from '../client/stats.ts'
import type { WorkerInfo } from '../client/workers.ts'
import type { EnqueueOptions } from '../core/enqueue-options.ts'
import type { Schedules } from '../flows/schedules/schedules.ts'
import type { Start, Workflows } from '../flows/workflows/runs.ts'
import type { LockOwner } from '../store/locks.ts'
import type { RegisteredTask } from '../store/registry.ts'
import type { Store } from '../store/store.ts'
import type { Redaction } from './redaction.ts'

export interface Managed {
  readonly store: Store
  readonly jobs: Jobs
  /** What must not be shown; left out for nothing. */
  readonly redaction?: Redaction
  readonly queues: Queues
  readonly control: Control
  readonly schedules: Schedules
  readonly workflows: Workflows
  readonly singletons: ManagedSingletons
  readonly workers: { list(): Promise<readonly WorkerInfo[]> }
  /** Those that this process runs. */
  readonly sources: { readonly status: readonly ManagedSource[] }
  readonly start: Start
  stats(options?: StatsOptions): Promise<Stats>
  readonly tasks: {
    list(): Promise<readonly RegisteredTask[]>
    describe(): Promise<readonly RegisteredTask[]>
  }
  enqueue(task: string, input?: unknown, options?: EnqueueOptions): Promise<EnqueuedJob<unknown>>
  enqueueMany(entries: readonly Entry[]): Promise<readonly EnqueuedJob<unknown>[]>
}

interface ManagedSource {
  readonly name: string
  readonly state: string
  readonly failures: number
  readonly storeFailures: number
}

/** The singletons of an app, as far as they are looked at and woken. */
interface ManagedSingletons {
  readonly names: readonly string[]
  owner(name: string): Promise<LockOwner | null>
  check(name: string, maxAgeMs: number): Promise<SingletonBeats>
  trigger(name: string): Promise<void>
}

interface SingletonBeats {
  readonly success: SingletonBeat | null
  readonly alive: SingletonBeat | null
}

interface SingletonBeat {
  readonly at: number
  readonly host: string
}
