/** `errand/testing`: helpers for tests of programs that use Errand. They need no server, no file and no waiting. */
export { drain, type DrainOptions } from './drain.ts'
export { expectEnqueued, type Part } from './expect-enqueued.ts'
export { runTask, type EnqueuedByTask, type RunTaskOptions, type TaskRun } from './run-task.ts'
export { testErrand, type TestErrand } from './test-errand.ts'
export { VirtualClock, virtualStart } from './virtual-clock.ts'
