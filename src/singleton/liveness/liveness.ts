/**
 * Liveness: proof for others that a singleton works. A beat is written after each successful run, and another one, apart from it, while a
 * run is under way or the process stands by; so that a long run does not look dead, and a stand-by is seen.
 */

/** Keeps the last beats of singletons somewhere. `livenessRules` of `errand/conformance` prove an implementation. */
export interface Liveness {
  /** What it is, for people. */
  readonly info: { readonly kind: string; readonly location: string }
  /** Keeps a beat in place of the last one of its kind. */
  write(beat: Beat): Promise<void>
  /** The last beats; null for a kind that was never written. */
  read(singleton: string): Promise<Beats>
  /** Lets go of connections and timers. */
  close(): Promise<void>
}

export interface Beat {
  readonly singleton: string
  /** `success` follows a run that succeeded; `alive` says that a run goes on or that the process stands by. */
  readonly kind: 'success' | 'alive'
  /** Milliseconds since the epoch. */
  readonly at: number
  readonly host: string
}

export type Beats = Readonly<
  Record<Beat['kind'], { readonly at: number; readonly host: string } | null>
>
