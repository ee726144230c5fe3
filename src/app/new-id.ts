/**
 * Ids of new jobs: UUIDv7, each greater than the one before it in this process. The library fetches its random bytes for each
 * id anew, which took a fifth of the time of a bulk enqueue; here they come many at a time.
 */
import { randomFillSync } from 'node:crypto'
import { v7 } from 'uuid'

const bytesPerId = 16
const random = new Uint8Array(256 * bytesPerId)
let used = random.length
let msecs = -Infinity
let seq = 0

/** Makes an id. */
export function newId(): string {
  if (used === random.length) {
    randomFillSync(random)
    used = 0
  }
  const bytes = random.subarray(used, (used += bytesPerId))
  step(Date.now(), bytes)
  return v7({ random: bytes, msecs, seq })
}

/** A new millisecond begins at a random number, with room to count up; in the same one, or when the clock went back, it counts. */
function step(now: number, [a = 0, b = 0, c = 0, d = 0]: Uint8Array): void {
  if (now > msecs) {
    msecs = now
    seq = ((a & 0x7f) << 24) | (b << 16) | (c << 8) | d
  } else {
    seq = (seq + 1) | 0
    if (seq === 0) msecs++
  }
}
