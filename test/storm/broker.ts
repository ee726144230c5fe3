/** What the storm needs of a message broker. */
import type { Source } from '../../src/index.ts'

export interface StormBroker {
  /**
   * Sends messages, each with an id that follows from its number, and the JSON of a job as its body. `from` is the number of the first.
   * Resolves when the broker has all.
   */
  send(bodies: readonly string[], from: number): Promise<void>
  /** How many messages it still has, held or not. */
  left(): Promise<number>
  /** Misfortunes of the broker itself, each at its part of the way from 0 to 1. */
  readonly misfortunes: readonly { readonly at: number; readonly strike: () => Promise<void> }[]
  /** What `openSource` of the broker's module makes a source of, in a process of its own. */
  readonly argument: string
  /** The URL of that module. */
  readonly module: string
  stop(): Promise<void>
}

/** A module of a broker: how it is started, and how a consumer reaches it. */
export interface BrokerModule {
  readonly start: () => Promise<StormBroker>
  readonly openSource: (argument: string) => Source
}
