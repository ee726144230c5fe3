/**
 * How often a lease is renewed: each third of its time, so that one renewal that fails costs
 * nothing. In milliseconds.
 */
export function renewEveryMs(leaseMs: number): number {
  return leaseMs / 3
}
