/** The workers that an app runs in this process, for metrics; not part of the public type. */

/** The same in all copies of Errand: the command and the app may come from two. */
export const ownWorkers: unique symbol = Symbol.for('errand.own-workers') as never

/** How one of them is doing. */
export interface OwnWorker {
  readonly state: 'new' | 'running' | 'stopping' | 'stopped'
  readonly slots: number
  readonly running: number
  readonly stuck: number
  /** Each part's failures in a row. */
  readonly parts: Readonly<Record<string, number>>
}

export interface HasOwnWorkers {
  readonly [ownWorkers]: () => readonly OwnWorker[]
}

/** The workers of an app that run here. */
export function ownWorkersOf(app: object): readonly OwnWorker[] {
  return ownWorkers in app ? (app as HasOwnWorkers)[ownWorkers]() : []
}
