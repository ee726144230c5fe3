/** The counters of a job as one text. */
import { noCounters, type Counters } from '../../core/job.ts'

const decoded = new Map<string, Counters>()
const mostDecoded = 1_000

/**
 * Counters as text, null when all are zero: attempts, failures, postpones, losses, interruptions,
 * deferrals.
 */
export function packCounters(counters: Counters): string | null {
  const { attempts, failures, postpones, losses, interruptions, deferrals } = counters
  if (failures + postpones + losses + interruptions + deferrals > 0)
    return `${attempts},${failures},${postpones},${losses},${interruptions},${deferrals}`
  return attempts === 0 ? null : String(attempts)
}

/** Reads packed counters. The same few occur again and again, so they are kept. */
export function readCounters(packed: string | null): Counters {
  if (packed === null) return { ...noCounters }
  let counters = decoded.get(packed)
  if (counters === undefined) {
    const [
      attempts = 0,
      failures = 0,
      postpones = 0,
      losses = 0,
      interruptions = 0,
      deferrals = 0,
    ] = packed.split(',').map(Number)
    counters = { attempts, failures, postpones, losses, interruptions, deferrals }
    if (decoded.size >= mostDecoded) decoded.clear()
    decoded.set(packed, counters)
  }
  return { ...counters }
}
