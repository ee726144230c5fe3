/** What a supervisor and its processes say to each other, over the channel of `fork`. */
import type { StopOptions } from '../worker/worker-options.ts'

/** The most processes of one supervisor. */
export const mostProcesses = 256
/** Where a process finds its place; it takes it out of its environment at once. */
export const placeVariable = 'ERRAND_PROCESS'
/** The descriptor of the pipe whose end tells a process that its supervisor is gone. */
export const lifeline = 4

export type ToProcess =
  /** Stop, within what is given here, or else as its own options say. */
  { readonly kind: 'stop'; readonly options: StopOptions }

export type FromProcess =
  /** Its worker claims jobs. */
  | { readonly kind: 'ready' }
  /** Each second. */
  | ({ readonly kind: 'report' } & Usage)
  /** It is to be replaced once it has drained. */
  | { readonly kind: 'recycle'; readonly why: string }
  /** It ends by itself, and is not to be started again. */
  | { readonly kind: 'done' }
  /** It is about to load these files. */
  | { readonly kind: 'modules'; readonly urls: readonly string[] }

/** What a process has used. */
export interface Usage {
  /** Runs that have ended in it. */
  readonly jobs: number
  /** Resident memory in bytes. */
  readonly rss: number
}

/** Marks messages of Errand's own: handlers may use the channel, too. */
const mark = 'errand'

export function sealed(message: ToProcess | FromProcess): object {
  return { [mark]: message }
}

/** Null for what is none of Errand's. */
export function unsealed<Message extends ToProcess | FromProcess>(given: unknown): Message | null {
  if (typeof given !== 'object' || given === null || !(mark in given)) return null
  return given[mark] as Message
}
