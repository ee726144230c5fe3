/** The counters of a job in one column. */
import { noCounters } from '../../core/job.ts'
import type { Counters } from '../../core/job.ts'

/** Null when all are zero, a number when only attempts are not, else all six as text. */
export type PackedCounters = number | string | null

const decoded = new Map<PackedCounters, Counters>()
const mostDecoded = 1_000

export function packCounters(counters: Counters): PackedCounters {
  const { attempts, failures, postpones, losses, interruptions, deferrals } = counters
  if (failures + postpones + losses + interruptions + deferrals === 0) return attempts || null
  return `${attempts},${failures},${postpones},${losses},${interruptions},${deferrals}`
}

/** Reads packed counters. The same few occur again and again, so they are kept. */
export function readCounters(packed: PackedCounters): Counters {
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
    ] = String(packed).split(',').map(Number)
    counters = { attempts, failures, postpones, losses, interruptions, deferrals }
    if (decoded.size >= mostDecoded) decoded.clear()
    decoded.set(packed, counters)
  }
  return { ...counters }
}
