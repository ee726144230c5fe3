/**
 * How long a stop waits, unless it says otherwise: of a worker, of its command, of a singleton. In
 * milliseconds.
 */
export const stopDefaults = {
  /** Running handlers may go on for this long before they are aborted. */
  graceMs: 25_000,
  /** An aborted handler may take this long to end before it counts as stuck, and its lease ends. */
  abortGraceMs: 5_000,
} as const
