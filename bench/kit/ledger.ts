/** Which jobs ran how often, and when they started. */
import { ticks } from './ticks.ts'

export class Ledger {
  readonly runs: Uint8Array
  readonly startedAt: Float64Array
  count = 0

  /** For the ids from 0 up to `jobs`. */
  constructor(jobs: number) {
    // Filled, so that its pages are there from the start and do not look like growth.
    this.runs = new Uint8Array(jobs).fill(0)
    this.startedAt = new Float64Array(jobs).fill(NaN)
  }

  ran(id: number): void {
    this.count++
    this.startedAt[id] = ticks()
    this.runs[id] = (this.runs[id] ?? 0) + 1
  }

  /** Takes in what ran in another process. */
  merge(runs: Uint8Array): void {
    for (let id = 0; id < runs.length; id++) this.runs[id] = (this.runs[id] ?? 0) + (runs[id] ?? 0)
  }

  /** Throws unless every job ran exactly once. */
  check(): void {
    let missing = 0
    let repeated = 0
    for (const runs of this.runs) {
      if (runs === 0) missing++
      if (runs > 1) repeated++
    }
    if (missing + repeated === 0) return
    throw new Error(`of ${this.runs.length} jobs ${missing} did not run and ${repeated} ran again`)
  }
}
