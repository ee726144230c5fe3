/** What a worker process of the proof is told, and how both sides name things. */
import type { CallName } from '../../src/store/calls.ts'
import type { Store } from '../../src/store/store.ts'
import { postgres } from '../../src/stores/postgres/index.ts'
import { redis } from '../../src/stores/redis/index.ts'
import { sqlite } from '../../src/stores/sqlite/index.ts'

/** Where a process is killed: around the n-th call of one kind that it makes of its store. */
export interface Fate {
  readonly call: CallName
  readonly when: 'before' | 'after'
  readonly on: number
}

export interface Part {
  readonly store: string
  /** The file to which each run of a called job adds a line. */
  readonly ledger: string
  readonly slots: number
  /** How often a parent may be lost while it does not wait. */
  readonly losses: number
  readonly fate: Fate | null
}

/** What a parent is given: how many calls to make. */
export interface Family {
  readonly n: number
  readonly children: number
}

/** A line of the ledger: one run of a called job. */
export interface Line {
  readonly parent: string
  readonly child: number
  readonly id: string
}

export const leaseMs = 1_500

export function openStore(url: string): Store {
  if (url.startsWith('sqlite:')) return sqlite(url.slice(7))
  return url.startsWith('redis:') ? redis(url) : postgres(url)
}
