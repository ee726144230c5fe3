/** States as the small numbers that lie in Redis: their place in `jobStates`. */
import { jobStates } from '../../core/job.ts'
import type { JobState } from '../../core/job.ts'

/** The same numbers for scripts. */
export const statesLua = `
local BLOCKED, SCHEDULED, READY, RUNNING, COMPLETED, FAILED, CANCELLED = 0, 1, 2, 3, 4, 5, 6
`

const codes = new Map<JobState, number>(jobStates.map((state, code) => [state, code]))

/** Answers the number of a state. */
export function codeOf(state: JobState): number {
  return codes.get(state) ?? 0
}

/** Answers the state of a number. */
export function stateOf(code: number): JobState {
  return jobStates[code] ?? 'blocked'
}

/** Packs a list of states into one number, a bit for each. */
export function packStates(states: readonly JobState[]): number {
  let bits = 0
  for (const state of states) bits |= 1 << codeOf(state)
  return bits
}
