/** `errand/fleet`: several processes that run jobs. */
export type { WorkerProcess } from './place.ts'
export type { ProcessUsage, ShouldRestart } from './should-restart.ts'
export { startProcesses, type Processes, type StartProcessesOptions } from './start-processes.ts'
