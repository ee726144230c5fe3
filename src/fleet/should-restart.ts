/** The user's own word on when a process is to be replaced. */
import type { Usage } from './process-messages.ts'

/** A process, as `shouldRestart` sees it. */
export interface ProcessUsage extends Usage {
  readonly pid: number
  /** Milliseconds since its start. */
  readonly uptime: number
}

export type ShouldRestart = (process: ProcessUsage) => boolean

/** What a configuration says, for the command; the command and the app may come from two copies of Errand. */
export const ownShouldRestart: unique symbol = Symbol.for('errand.should-restart') as never

export interface HasShouldRestart {
  readonly [ownShouldRestart]: ShouldRestart | null
}
