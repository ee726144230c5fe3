/** `errand`: background jobs for TypeScript. */
export type { ErrandConfig, QueueOptions, TaskSource } from './app/app.ts'
export type { BulkOptions, Jobs, JobTarget, Tally } from './client/jobs.ts'
export type { EnqueuedJob, Entry, EntryOptions, ResultOptions } from './client/enqueued-job.ts'
export type { JobFilter, JobSearch } from './client/job-filter.ts'
export type { JobRecord, JobRun } from './client/job-record.ts'
export type { QueueInfo, Queues } from './client/queues.ts'
export type { WorkerInfo } from './client/workers.ts'
export {
  constant,
  exponential,
  linear,
  type Backoff,
  type BackoffJob,
  type CustomBackoff,
} from './core/backoff.ts'
export type { Clock } from './core/clock.ts'
export type { Codec } from './core/codec.ts'
export type { Duration } from './core/duration.ts'
export type { EnqueueOptions, FailureReport } from './core/enqueue-options.ts'
export type { Labels } from './core/labels.ts'
export { ErrandError, isErrandError, type ErrandErrorCode } from './core/errors.ts'
export type { FollowUpOptions, Handler, JobLog, RunningJob } from './core/running-job.ts'
export { Discard, Postpone, RetryAfter, Unrecoverable } from './core/instructions.ts'
export type {
  AttemptOutcome,
  Counters,
  FailureReason,
  FinalState,
  JobState,
  KeptError,
  LogLevel,
  LogLine,
} from './core/job.ts'
export type {
  CommonOptions,
  ErrorClass,
  Limit,
  Retention,
  Retry,
  RetryPreset,
  StorableOptions,
  StorableRetry,
  Unique,
} from './core/options.ts'
export {
  task,
  tasksWith,
  type Accepts,
  type AnyTask,
  type InputOf,
  type OutputOf,
  type Task,
  type TaskMaker,
  type TaskOptions,
} from './core/task.ts'
export type { HoldAnswer, Holding, HoldRequest, LockCalls, LockOwner } from './store/locks.ts'
export { createErrand, type Configuration, type Errand } from './errand.ts'
export type { EventName, Events } from './observe/events.ts'
export type { WarningCode } from './observe/warnings.ts'
export type { Log } from './observe/log.ts'
export type { Verdict } from './singleton/liveness/check.ts'
export type { Beat, Beats, Liveness } from './singleton/liveness/liveness.ts'
export type { Locks } from './store/locks.ts'
export type { Round, RoundStatus } from './singleton/loop.ts'
export type { Metrics, Point } from './singleton/metrics/metrics.ts'
export type { OptionSpec, OptionSpecs, OptionValues } from './singleton/options.ts'
export type { SettingSources } from './singleton/settings.ts'
export {
  singleton,
  type AnySingleton,
  type Singleton,
  type SingletonOptions,
  type SingletonRun,
} from './singleton/singleton.ts'
export type { RunSingletonOptions, Singletons } from './singleton/singletons.ts'
export type { QueueCount } from './store/readers.ts'
export type { CancelAnswer, RemoveAnswer, RetryAnswer } from './store/operators.ts'
export type { Store } from './store/store.ts'
export type { StopOptions, Worker, WorkerOptions, WorkerStatus } from './worker/worker-options.ts'
