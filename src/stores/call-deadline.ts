/** How long a call of a store may take before it rejects. */
import { ErrandError } from '../core/errors.ts'

/** The default and the most: clients and workers take a store that is silent for much longer for one that hangs. */
const mostMs = 30_000

/** Reads the option of a store. Throws `invalid-option`. */
export function readCallDeadline(ms: number = mostMs, where: string): number {
  if (Number.isFinite(ms) && ms > 0 && ms <= mostMs) return ms
  throw new ErrandError(
    'invalid-option',
    `${where}.callDeadlineMs must be more than 0 and at most ${mostMs}, since workers give up a store that is silent for longer; it is ${String(ms)}.`,
  )
}
