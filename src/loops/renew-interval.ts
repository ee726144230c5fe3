import type { Store } from '../store/store.ts'

/**
 * How often a lease is renewed: each third of its time, so that one renewal that fails costs
 * nothing. In milliseconds.
 */
export function renewEveryMs(leaseMs: number): number {
  return leaseMs / 3
}

/** A lease lasts so long until it is renewed for the first time. */
export function firstLeaseMs({ info }: Pick<Store, 'info'>, leaseMs: number): number {
  return Math.min(leaseMs, info.firstLeaseMs ?? leaseMs)
}
