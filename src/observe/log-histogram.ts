/**
 * A histogram of durations in buckets that double, from 1 ms to over nine hours: cheap to fill, and
 * two of them merge by adding.
 */

/** Buckets with an upper bound; one more takes the rest. */
const bounded = 26

/** The upper bounds of the buckets, in milliseconds: 1, 2, 4 … 2^25. */
export const bucketBoundsMs: readonly number[] = Array.from({ length: bounded }, (_, n) => 2 ** n)

export class LogHistogram {
  /** How many values fell into each bucket; the last takes what is longer than all bounds. */
  readonly buckets: number[] = Array.from({ length: bounded + 1 }, () => 0)
  sumMs = 0

  get count(): number {
    return this.buckets.reduce((sum, one) => sum + one, 0)
  }

  /** Counts a duration; what a clock that was set back makes of one counts as 0. */
  add(ms: number): void {
    const value = ms > 0 ? ms : 0
    const n = bucketOf(value)
    this.buckets[n] = (this.buckets[n] ?? 0) + 1
    this.sumMs += value
  }

  /** Adds what another histogram counted. */
  merge(buckets: readonly number[], sumMs: number): void {
    for (let n = 0; n <= bounded; n++) this.buckets[n] = (this.buckets[n] ?? 0) + (buckets[n] ?? 0)
    this.sumMs += sumMs
  }
}

function bucketOf(ms: number): number {
  if (ms <= 1) return 0
  const whole = Math.ceil(ms)
  return whole > 2 ** 25 ? bounded : 32 - Math.clz32(whole - 1)
}
