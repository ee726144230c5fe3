/** States as the small numbers that lie in a store: their place in `jobStates`. */
import { jobStates, type JobState } from '../core/job.ts'

export type StateCode = number

export const BLOCKED: StateCode = 0
export const SCHEDULED: StateCode = 1
export const READY: StateCode = 2
export const RUNNING: StateCode = 3
export const COMPLETED: StateCode = 4
export const FAILED: StateCode = 5
export const CANCELLED: StateCode = 6

const codes = new Map<JobState, StateCode>(jobStates.map((state, code) => [state, code]))

/** Returns the number of a state. */
export function codeOf(state: JobState): StateCode {
  return codes.get(state) ?? BLOCKED
}

/** Returns the state of a number. */
export function stateOf(code: StateCode): JobState {
  return jobStates[code] ?? 'blocked'
}

/** Packs a list of states into one number, a bit for each. */
export function packStates(states: readonly JobState[]): number {
  let bits = 0
  for (const state of states) bits |= 1 << codeOf(state)
  return bits
}

/** Whether a packed list names a state. */
export function lists(bits: number, code: StateCode): boolean {
  return (bits & (1 << code)) !== 0
}
