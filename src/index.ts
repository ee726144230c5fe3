/** `errand`: background jobs for TypeScript. */
export type { ErrandConfig, QueueOptions } from './app/app.ts'
export type { TaskSource } from './app/load-tasks.ts'
export type { BulkOptions, Jobs, JobTarget, Tally } from './client/jobs.ts'
export type { EnqueuedJob, Entry, EntryOptions, ResultOptions } from './client/enqueued-job.ts'
export type { JobFilter, JobSearch } from './client/job-filter.ts'
export type { JobRecord, JobRun } from './client/job-record.ts'
export type {
  Control,
  ControlOptions,
  ControlOrder,
  ControlTarget,
  WorkerTarget,
} from './client/control.ts'
export type { QueueInfo, Queues } from './client/queues.ts'
export type { WorkerInfo } from './client/workers.ts'
export type { Stats, StatsOptions } from './client/stats.ts'
export type { Durations, HistoryPoint, RunStats } from './observe/history/read.ts'
export type { Depth } from './observe/history/format.ts'
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
export type { Published } from './core/published.ts'
export type { Labels } from './core/labels.ts'
export type { Command, Exec, ExecOptions } from './core/exec.ts'
export { inModule, type InModule } from './core/in-module.ts'
export type { Isolate, IsolateOptions, Memory, Permissions, ProgramEnv } from './core/isolate.ts'
export type { ControlVerb } from './core/control.ts'
export type { HoldReason } from './core/hold-reason.ts'
export type { PauseWhen } from './core/pause-when.ts'
export type { Wrap } from './core/wrap.ts'
export { ErrandError, isErrandError, type ErrandErrorCode } from './core/errors.ts'
export type {
  AddedNode,
  AddOptions,
  CallOptions,
  FollowUpOptions,
  Handler,
  JobLog,
  JobWorkflow,
  RunningJob,
} from './core/running-job.ts'
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
  type TaskOptions,
} from './core/task.ts'
export type { TaskMaker } from './core/task-maker.ts'
export type { HoldAnswer, Holding, HoldRequest, LockCalls, LockOwner } from './store/locks.ts'
export { createErrand, type Configuration, type Errand } from './errand.ts'
export type { EventName, Events } from './observe/events.ts'
export type { WarningCode } from './observe/warnings.ts'
export {
  schedule,
  type Overlap,
  type ProcessRunOptions,
  type RunScheduleOptions,
  type Schedule,
  type ScheduledFunction,
  type ScheduledRun,
  type TaskScheduleOptions,
  type WorkflowScheduleOptions,
  type TickOptions,
} from './flows/schedules/schedule.ts'
export type { ScheduleInfo, TickInfo } from './flows/schedules/info.ts'
export type { NextOptions, Schedules } from './flows/schedules/schedules.ts'
export type { ScheduleConfig } from './flows/schedules/book.ts'
export type { TickChoice, TickRule, TimingOptions } from './flows/schedules/timing.ts'
export type { Log } from './observe/log.ts'
export type { Telemetry } from './observe/tracing.ts'
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
export type {
  Source,
  SourceConnection,
  SourceMessage,
  SourceOptions,
  SourceRoom,
} from './sources/source.ts'
export type { SourceStatus } from './sources/feed.ts'
export type { SourceRecord } from './store/registry.ts'
export type { Sources } from './sources/sources.ts'
export {
  workflow,
  type AnyWorkflow,
  type Node,
  type NodeNeed,
  type NodeOptions,
  type OnNeedFailed,
  type Workflow,
  type WorkflowBuilder,
  type WorkflowOutput,
} from './flows/workflows/workflow.ts'
export type { Given, Ref, Resolved } from './core/node-output.ts'
export type { BatchEnd } from './app/batch-end.ts'
export type { BatchCallback, BatchEntries, BatchOptions } from './flows/workflows/batch.ts'
export type {
  BatchRun,
  Start,
  StartOptions,
  WorkflowNode,
  WorkflowAbout,
  WorkflowRun,
  Workflows,
  WorkflowStatus,
} from './flows/workflows/runs.ts'
export type { QueueCount, QueueStats } from './store/readers.ts'
export type { CancelAnswer, RemoveAnswer, RetryAnswer } from './store/operators.ts'
export type { Store } from './store/store.ts'
export type { Keeper } from './keeper/keeper.ts'
export type { StopOptions, Worker, WorkerOptions, WorkerStatus } from './worker/worker-options.ts'
