/** What both sides of the proof know. */

/** Where processes write their ledger. */
export const ledgerVariable = 'ROLLING_LEDGER'

export const leaseMs = 3_000

/** The input of a job: its number, and how long it takes. */
export interface Work {
  readonly n: number
  readonly ms: number
}

/** A line of the ledger. */
export interface Line {
  readonly what: 'start' | 'end'
  readonly id: string
  readonly n: number
  readonly attempt: number
  readonly token: number
  readonly pid: number
}
