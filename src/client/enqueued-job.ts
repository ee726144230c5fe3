/** What a producer holds: entries of a bulk call, and the jobs that came of them. */
import type { AnyTask, OutputOf } from '../core/task.ts'
import type { EnqueueRest } from '../core/running-job.ts'
import type { EnqueueOptions } from '../core/enqueue-options.ts'
import type { Duration } from '../core/duration.ts'

export type EntryOptions = Omit<EnqueueOptions, 'tx' | 'inline'>

export type Entry = readonly [task: AnyTask | string, input?: unknown, options?: EntryOptions]

export type CheckedEntries<Entries extends readonly Entry[]> = {
  readonly [I in keyof Entries]: Entries[I] extends readonly [infer T extends AnyTask, ...unknown[]]
    ? readonly [T, ...EnqueueRest<T, EntryOptions>]
    : Entry
}

export type EnqueuedJobs<Entries extends readonly Entry[]> = {
  readonly [I in keyof Entries]: EnqueuedJob<
    Entries[I] extends readonly [infer T extends AnyTask, ...unknown[]] ? OutputOf<T> : unknown
  >
}

export interface EnqueuedJob<Output> {
  readonly id: string
  /** `duplicate` and `replaced`: `id` is the job that holds the unique key. */
  readonly inserted: 'created' | 'duplicate' | 'replaced'
  result(options?: ResultOptions): Promise<Output>
}

export interface ResultOptions {
  /** Default 30 s; in a handler at most what is left of the attempt's own timeout. Then rejects with `result-timeout`. */
  readonly timeout?: Duration
  /** Removes the job once its result was read: of several takers, one gets it. Default false. */
  readonly take?: boolean
  readonly signal?: AbortSignal
}
