/** Whether the workers of this process do their work, for probes. */
import { ownWorkersOf } from './own-workers.ts'

export interface Health {
  /** False when only a restart helps: handlers that ignore their abort hold every slot of a worker. */
  readonly isAlive: boolean
  /** Whether all workers run, and no part of them keeps failing. */
  readonly isReady: boolean
  /** What is wrong; empty for nothing. */
  readonly why: string
}

/** A part that failed so often in a row is not well. */
const failingFrom = 3

/** Checks the workers that an app runs in this process. A process without workers is well. */
export function healthOf(errand: object): Health {
  const workers = ownWorkersOf(errand)
  const isAlive = workers.every(({ slots, stuck }) => stuck < slots)
  const away = workers.filter(({ state }) => state !== 'running')
  const failing = workers.flatMap(({ parts }) =>
    Object.entries(parts).flatMap(([part, failures]) => (failures >= failingFrom ? [part] : [])),
  )
  const why = [
    ...(isAlive ? [] : ['every slot is kept by a handler that ignores its abort']),
    ...away.map(({ state }) => `a worker is ${state}`),
    ...[...new Set(failing)].map((part) => `${part} fails again and again`),
  ].join('; ')
  return { isAlive, isReady: why === '', why }
}
