/** Medians, percentiles, and numbers as people read them. */

/** The middle of the sorted values, or the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length / 2
  const [low = NaN, high = NaN] = [sorted[Math.ceil(middle) - 1], sorted[Math.floor(middle)]]
  return (low + high) / 2
}

/** The smallest value that a share of all values do not exceed. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? NaN
}

/** Three digits that matter, or whole thousands with commas. */
export function shown(value: number): string {
  if (!Number.isFinite(value)) return '–'
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString('en-US')
  return value.toFixed(Math.abs(value) >= 10 ? 1 : 2)
}

/** `median (min-max)`. */
export function spread(runs: readonly number[]): string {
  if (runs.length < 2) return shown(median(runs))
  return `${shown(median(runs))} (${shown(Math.min(...runs))}-${shown(Math.max(...runs))})`
}
