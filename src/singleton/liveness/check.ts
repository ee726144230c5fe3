/** Tells whether a singleton is well: see `errand check`. */
import type { Beats } from './liveness.ts'

export interface Verdict {
  readonly passes: boolean
  /** How long ago the last success was, in ms; null for none. */
  readonly ageMs: number | null
}

/** Passes while the last success is no older than `maxAgeMs`, compared in whole seconds as records keep them. */
export function checkBeats({ success }: Beats, maxAgeMs: number, now: number): Verdict {
  if (success === null) return { passes: false, ageMs: null }
  const ageMs = (Math.floor(now / 1_000) - Math.floor(success.at / 1_000)) * 1_000
  return { passes: ageMs <= maxAgeMs, ageMs }
}
