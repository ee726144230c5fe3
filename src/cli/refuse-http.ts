/** Commands that need the database itself say so when they are given a manager. */
import { ErrandError } from '../core/errors.ts'
import type { Store } from '../store/store.ts'

/** Throws `invalid-option` for a store behind a manager. */
export function refuseHttp({ info }: Store, command: string, why: string): void {
  if (info.kind !== 'http') return
  throw new ErrandError(
    'invalid-option',
    `errand ${command} does not work over HTTP, as to ${info.location}: ${why}`,
  )
}
