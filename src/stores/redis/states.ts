/** The numbers of states, for scripts: see `state-codes.ts`. */
import { BLOCKED, CANCELLED, COMPLETED, FAILED, READY, RUNNING, SCHEDULED } from '../state-codes.ts'

export const statesLua: string = `
local BLOCKED, SCHEDULED, READY, RUNNING, COMPLETED, FAILED, CANCELLED =
  ${[BLOCKED, SCHEDULED, READY, RUNNING, COMPLETED, FAILED, CANCELLED].join(', ')}
`
