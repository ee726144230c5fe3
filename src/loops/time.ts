/**
 * Time inside a worker: one that no change of the wall clock moves, shared by all threads of a
 * process.
 */
import type { Store } from '../store/store.ts'
import { performance } from '../core/timers.ts'

/** Milliseconds on a scale of its own, for measuring only. */
export type Ticks = () => number

/**
 * The monotonic clock of the machine. `performance` counts from the start of its thread, but
 * answers without an array.
 */
export const machineTicks: Ticks = () => threadStart + performance.now()

const [seconds, nanoseconds] = process.hrtime()
const threadStart = seconds * 1_000 + nanoseconds / 1_000_000 - performance.now()

/**
 * The scale for workers of a store: the machine's, unless the store lives in this process alone and
 * its clock may be moved by hand.
 */
export function ticksOf(store: Store): Ticks {
  return store.connector === null ? () => store.clock.now() : machineTicks
}
