/** When a process that has ended is started again. */

export const restartPace = {
  firstMs: 500,
  mostMs: 30_000,
  /** One that was up for so long has worked: what ends it later is counted from one again. */
  healthyMs: 30_000,
  /** The least time between unrequested starts of one place, even if each process ends well. */
  apartMs: 1_000,
} as const

/**
 * Milliseconds until the next start, after so many ends in a row that nobody asked for: at once after
 * the first, then drawn between half and all of what doubles from 0.5 to 30 s.
 */
export function restartAfter(ends: number, random: () => number): number {
  if (ends <= 1) return 0
  const ceiling = Math.min(restartPace.firstMs * 2 ** Math.min(ends - 2, 10), restartPace.mostMs)
  return ceiling / 2 + (random() * ceiling) / 2
}
