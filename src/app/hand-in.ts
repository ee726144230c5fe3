/**
 * What a manager hands out to workers that are no programs of Errand's, and what becomes of the jobs that they hand in: the app decides
 * for them, by the options of the task. Not part of the public type of an app.
 */
import type { KnownJob } from '../store/job.ts'
import type { LeaseRef } from '../store/worker-calls.ts'

/** The same in all copies of Errand: the manager and the app may come from two. */
export const handIn: unique symbol = Symbol.for('errand.hand-in') as never

export interface HasHandIn {
  readonly [handIn]: HandIn
}

export interface HandIn {
  /** Leases jobs of some tasks; gives back what else lies in their queues, for others to take. */
  claim(request: HandOut): Promise<HandedOut>
  /** Ends an attempt as its worker says. Rejects with `invalid-option`, `not-json` and `too-large` for what cannot be stored. */
  end(lease: LeaseRef, worker: string, said: Said): Promise<Ended>
  /** Looks after jobs of dead workers of these tasks. */
  sweep(tasks: readonly string[]): Promise<void>
}

export interface HandOut {
  readonly worker: string
  readonly queues: readonly string[]
  /** Names and aliases. */
  readonly tasks: readonly string[]
  readonly limit: number
  readonly leaseMs: number
  /** Made by the caller, who repeats the call with it; null for one who does not. */
  readonly id: string | null
}

export interface HandedOut {
  readonly jobs: readonly HandedJob[]
  /** Milliseconds until the next scheduled job is due; null when there is none. */
  readonly nextDueMs: number | null
}

export interface HandedJob extends LeaseRef, Pick<KnownJob, 'task' | 'queue' | 'headers'> {
  /** The input itself, with the outputs in it to which it refers. */
  readonly input: unknown
  /** The number of this attempt, from 1. */
  readonly attempt: number
  /** How long the attempt may take; null for no bound. */
  readonly timeoutMs: number | null
}

/** What an attempt came to, in the words of its worker. */
export type Said = SaidEnd & {
  /** How long it ran; null where the worker does not say. */
  readonly ranMs: number | null
}

type SaidEnd =
  | { readonly kind: 'complete'; readonly output: unknown }
  | {
      readonly kind: 'fail'
      readonly error: SaidError
      /** `no` fails the job for good; milliseconds are waited before the next attempt; `yes` leaves it to the options of the task. */
      readonly retry: 'yes' | 'no' | number
    }
  | { readonly kind: 'postpone'; readonly delayMs: number | null }
  | { readonly kind: 'discard'; readonly reason: string }
  | { readonly kind: 'release' }

export interface SaidError {
  readonly type: string
  readonly message: string
  readonly stack: string | null
  readonly code: string | null
}

/** What became of the job: `stale` for a lease that is not the caller's any more, `held` when a transaction kept it from being written. */
export type Ended =
  | 'stale'
  | 'held'
  | 'completed'
  | 'failed'
  | 'cancelled'
  | 'discarded'
  | 'scheduled'
  | 'ready'
