/** What the conformance suite needs from a store under test, and how its rules meet a test runner. */
import type { Store } from '../../store/store.ts'
import { idSource } from './jobs.ts'

/** Makes stores for the rules: each rule runs on data of its own. */
export interface StoreHarness {
  /** An empty store, set up or not. */
  create(): Promise<StoreFixture>
  /** How far times may be off from what a rule expects: 0 for a store on a clock that stands still. Default 0. */
  readonly slackMs?: number
  /** How often a race is run. Default 20. */
  readonly rounds?: number
  /** Makes the ids of jobs, UUIDv7 like those of the suite itself: for a store that keeps its promises of order among some ids only. */
  readonly newId?: () => string
}

/** What of a stored job cannot be read any more. */
export type Spoiled = 'created' | 'due' | 'counters' | 'spans'

export interface StoreFixture {
  readonly store: Store
  /** Opens one more client of the same data, as another process would. */
  another(): Promise<Store>
  /** Moves the time of the store and all its clients; need not let anything else happen. */
  advance(ms: number): Promise<void>
  /**
   * Writes over a stored job, behind the store's back, what cannot be read: as `created` a time of its insert that no `Date` holds, as
   * `due` such a due time of a job that is scheduled, as `counters` what is no numbers, as `spans` durations that no time can be moved
   * by, of its bounds and its keeping. For stores whose data others can reach; without it the rules about such jobs say nothing.
   */
  spoil?(id: string, what: Spoiled): Promise<void>
  /** Closes all clients and removes the data. A rule may have closed some already. */
  dispose(): Promise<void>
}

/** One thing that every store does; or every lock server, with its own harness. */
export interface Rule<Harness = StoreHarness> {
  readonly group: string
  /** The rule as a sentence. */
  readonly name: string
  /** Resolves when the store keeps the rule, rejects with an assertion that tells what it did instead. */
  run(harness: Harness): Promise<void>
}

/** Hands rules to any test runner's `test(name, fn)`. */
export function runRules<Harness>(options: {
  readonly test: (name: string, run: () => Promise<void>) => unknown
  readonly harness: Harness
  readonly rules: readonly Rule<Harness>[]
}): void {
  const { test, harness, rules } = options
  const { newId } = harness as { readonly newId?: () => string }
  const run = (rule: Rule<Harness>): Promise<void> =>
    newId === undefined ? rule.run(harness) : idSource.run(newId, () => rule.run(harness))
  for (const rule of rules) void test(`${rule.group}: ${rule.name}`, () => run(rule))
}
