/** Metrics of singletons: points that are pushed after each round. */

/** Takes points and brings them somewhere. Never rejects for a server's sake: what it cannot deliver it keeps, within a bound, and tries again. */
export interface Metrics {
  /** What it is, for people. */
  readonly info: { readonly kind: string; readonly location: string }
  push(points: readonly Point[]): void
  /** Delivers what is left, within `ms`, and lets go of connections and timers. */
  close(ms: number): Promise<void>
}

export interface Point {
  readonly measurement: string
  readonly tags: Readonly<Record<string, string>>
  readonly value: number
  /** Nanoseconds since the epoch; no two points of one process share one. */
  readonly atNs: bigint
}
