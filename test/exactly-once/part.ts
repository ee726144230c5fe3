/** What a process of the run is told, and what it tells. */

/** Where a process may be cut off, in the order in which a handler comes by. */
export const places = [
  'before begin',
  'after begin',
  'after insert',
  'after complete',
  'before commit',
  'after commit',
] as const
export type Place = (typeof places)[number]

export interface Part {
  /** URL of the store; the handlers' own table lies in the same database. */
  readonly store: string
  readonly slots: number
  /** What befalls the process; null for nothing. `on` is the how manyeth arrival at the place it is. */
  readonly fate: Fate | null
}

export interface Fate {
  readonly place: Place
  /** `stop` waits there, so that the process can be stopped from outside, until it is told to go on. */
  readonly how: 'kill' | 'stop'
  readonly on: number
}

/** From a process to the director. A handler was refused when `job.complete` or the commit threw. */
export type Report =
  | { readonly kind: 'up' }
  | { readonly kind: 'at'; readonly id: string }
  | { readonly kind: 'over'; readonly id: string; readonly refused: string | null }

/** From the director to a process. */
export type Order = 'go' | 'end'

/** The lease of the run's workers, in ms. */
export const leaseMs = 2_000

/** The one task of the run. */
export const taskName = 'effect'
