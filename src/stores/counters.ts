/** The counters of a job as one text. */
import { noCounters, type Counters } from '../core/job.ts'

/** Packed counters; SQLite makes a number of a text that is one. */
export type PackedCounters = string | number | null

const decoded = new Map<string, Counters>()
const mostDecoded = 1_000

/**
 * Returns counters as a text: one number when only attempts are not zero, else attempts, failures, postpones, losses, interruptions
 * and deferrals; null when all are zero.
 */
export function packCounters(counters: Counters): string | null {
  const { attempts, failures, postpones, losses, interruptions, deferrals } = counters
  if (failures + postpones + losses + interruptions + deferrals > 0)
    return `${attempts},${failures},${postpones},${losses},${interruptions},${deferrals}`
  return attempts === 0 ? null : String(attempts)
}

/** Reads packed counters. The same few occur again and again, so they are kept. */
export function readCounters(packed: PackedCounters): Counters {
  if (packed === null || packed === '') return { ...noCounters }
  const text = String(packed)
  let counters = decoded.get(text)
  if (counters === undefined) {
    const [
      attempts = 0,
      failures = 0,
      postpones = 0,
      losses = 0,
      interruptions = 0,
      deferrals = 0,
    ] = text.split(',').map(Number)
    counters = { attempts, failures, postpones, losses, interruptions, deferrals }
    if (decoded.size >= mostDecoded) decoded.clear()
    decoded.set(text, counters)
  }
  return { ...counters }
}
