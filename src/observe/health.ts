/** Whether the workers of this process do their work, for probes. */
import { ownWorkersOf } from './own-workers.ts'

export interface Health {
  /** False where only a restart helps: every slot of a worker is kept by a handler that ignores its abort. */
  readonly isAlive: boolean
  /** Whether workers run, and no part of them fails again and again. */
  readonly isReady: boolean
  /** What is wrong; empty for nothing. */
  readonly why: string
}

/** A part that failed so often in a row is not well. */
const failingFrom = 3

/** Looks at the workers that an app runs here. A process without workers is well. */
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
