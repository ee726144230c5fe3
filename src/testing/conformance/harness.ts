/** What the conformance suite needs from a store under test, and how its rules meet a test runner. */
import type { Store } from '../../store.ts'

/** Makes stores for the rules: each rule runs on data of its own. */
export interface StoreHarness {
  /** An empty store, set up or not. */
  create(): Promise<StoreFixture>
  /** How far times may be off from what a rule expects: 0 for a store on a clock that stands still. Default 0. */
  readonly slackMs?: number
  /** How often a race is run. Default 20. */
  readonly rounds?: number
}

export interface StoreFixture {
  readonly store: Store
  /** Opens one more client of the same data, as another process would. */
  another(): Promise<Store>
  /** Moves the time of the store and all its clients; need not let anything else happen. */
  advance(ms: number): Promise<void>
  /** Closes all clients and removes the data. A rule may have closed some already. */
  dispose(): Promise<void>
}

/** One thing that every store does. */
export interface Rule {
  readonly group: string
  /** The rule as a sentence. */
  readonly name: string
  /** Resolves when the store keeps the rule, rejects with an assertion that tells what it did instead. */
  run(harness: StoreHarness): Promise<void>
}

/** Hands rules to any test runner's `test(name, fn)`. */
export function runRules(options: {
  readonly test: (name: string, run: () => Promise<void>) => unknown
  readonly harness: StoreHarness
  readonly rules: readonly Rule[]
}): void {
  const { test, harness, rules } = options
  for (const rule of rules) void test(`${rule.group}: ${rule.name}`, () => rule.run(harness))
}
