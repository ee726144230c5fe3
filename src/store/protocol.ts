/**
 * The version of what crosses between a store over HTTP and a manager. It grows when one of them could misread the other; what is
 * only added needs no new one, for both ignore fields that they do not know.
 */
export const protocol = {
  current: 1,
  /** The oldest that is still understood. */
  oldest: 1,
} as const
