/** States as the small numbers that lie in the tables: their place in `jobStates`. */
import { jobStates } from '../../core/job.ts'
import type { JobState } from '../../core/job.ts'

export type StateCode = number

export const RUNNING: StateCode = 3
export const COMPLETED: StateCode = 4
export const FAILED: StateCode = 5
export const CANCELLED: StateCode = 6

const codes = new Map<JobState, StateCode>(jobStates.map((state, code) => [state, code]))

/** Answers the number of a state. */
export function codeOf(state: JobState): StateCode {
  return codes.get(state) ?? 0
}

/** Answers the state of a number. */
export function stateOf(code: StateCode): JobState {
  return jobStates[code] ?? 'blocked'
}

/** Packs a list of states into one number, a bit for each. */
export function packStates(states: readonly JobState[]): number {
  let bits = 0
  for (const state of states) bits |= 1 << codeOf(state)
  return bits
}
