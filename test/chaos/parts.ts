/** What the processes of a run are told, and the app that each of them makes of it. */
import type { ErrandConfig, Store } from 'errand'
import { Ledger } from './ledger.ts'
import { tasks, type Context } from './scenario.ts'

export const sabotages = ['fencing'] as const
export type Sabotage = (typeof sabotages)[number]

/** The arguments of a process, as JSON on its command line. */
export interface Part {
  /** Unique in the run. */
  readonly name: string
  readonly seed: string
  /** URL of the store. */
  readonly store: string
  /** Folder of the ledger. */
  readonly folder: string
  readonly leaseMs: number
  readonly sabotage: Sabotage | null
}

/** Reads what this process was told, and ends it when the director is gone. */
export function readPart(): { readonly part: Part; readonly ledger: Ledger } {
  process.on('disconnect', () => process.exit(1))
  if (!process.connected) process.exit(1)
  const part = JSON.parse(process.argv[2]!) as Part
  return { part, ledger: new Ledger(part.folder, part.name) }
}

/** Tells the director that this process works. */
export function tellUp(): void {
  process.send?.('up')
}

/** Resolves when the director asks this process to end. */
export function askedToStop(): Promise<void> {
  return new Promise((resolve) => process.once('message', () => resolve()))
}

/** The configuration that all processes share. */
export function configOf(part: Part, store: Store, ledger: Ledger): ErrandConfig<Context> {
  return {
    store,
    tasks,
    queues: { side: { slots: 4 } },
    slots: 10,
    lease: part.leaseMs,
    poll: '1s',
    context: () => ({ ledger }),
  }
}
