/** What a batch comes to: how many of its jobs ended how. */

/** How the jobs of a batch ended; they are `total` in all. */
export interface BatchEnd {
  /** The id of the batch. */
  readonly id: string
  readonly total: number
  readonly completed: number
  readonly failed: number
  /** With those that were removed before their end. */
  readonly cancelled: number
  readonly discarded: number
}

/** Adds up the ends of jobs, by their states, and those that parts of the batch have added up. */
export function sumUp(
  { id, total }: { readonly id: string; readonly total: number },
  states: readonly string[],
  parts: readonly BatchEnd[],
): BatchEnd {
  const of = (state: 'completed' | 'failed' | 'discarded'): number =>
    states.filter((one) => one === state).length + parts.reduce((sum, part) => sum + part[state], 0)
  const completed = of('completed')
  const failed = of('failed')
  const discarded = of('discarded')
  const cancelled = total - completed - failed - discarded
  return { id, total, completed, failed, cancelled, discarded }
}
