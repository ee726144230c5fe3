/** From which load on a worker claims nothing. */
import { toMs, type Duration } from './duration.ts'
import { ErrandError } from './errors.ts'
import { refuseUnknownKeys } from './option-keys.ts'
import { shownValue } from './shown.ts'

/** Bounds of load; one that is left out is not looked at. */
export interface PauseWhen {
  /** Of the processors that this process may use, over the last second: above 0, at most 1. */
  readonly cpu?: number
  /** Of the memory that this process may use, with all others on it: above 0, at most 1. */
  readonly memory?: number
  /** The longest time in the last second for which the event loop stood still. */
  readonly lag?: Duration
}

/** `PauseWhen`, read: shares of 1, and milliseconds. */
export interface LoadBounds {
  readonly cpu: number
  readonly memory: number
  readonly lag: number
}

/** Reads bounds of load; null for none. Throws `invalid-option`. */
export function readPauseWhen(given: PauseWhen | undefined, where: string): LoadBounds | null {
  if (given === undefined) return null
  refuseUnknownKeys(given, ['cpu', 'memory', 'lag'], where)
  const { cpu, memory, lag } = given
  if (cpu === undefined && memory === undefined && lag === undefined)
    throw new ErrandError('invalid-option', `${where} needs one of cpu, memory and lag.`)
  const lagMs = lag === undefined ? Infinity : toMs(lag, `${where}.lag`)
  if (lagMs === 0) throw new ErrandError('invalid-option', `${where}.lag must be above 0.`)
  return {
    cpu: readShare(cpu, `${where}.cpu`),
    memory: readShare(memory, `${where}.memory`),
    lag: lagMs,
  }
}

function readShare(value: unknown, where: string): number {
  if (value === undefined) return Infinity
  if (typeof value === 'number' && value > 0 && value <= 1) return value
  throw new ErrandError(
    'invalid-option',
    `${where} is a share above 0 and at most 1, such as 0.9, not ${shownValue(value)}.`,
  )
}
