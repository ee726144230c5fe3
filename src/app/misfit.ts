/** The error for a payload that does not fit its schema. */
import { ErrandError, type ErrandErrorCode } from '../core/errors.ts'
import { jsonPointer } from '../core/json.ts'
import { cutText } from '../core/text.ts'

export interface Issue {
  /** The keys on the way to what does not fit; none for the payload itself. */
  readonly keys: readonly string[]
  readonly message: string
}

/** Bounds of what is told: a payload of a megabyte may have as many issues. */
const bounds = { issues: 20, bytes: 500 } as const

/** `more` counts issues beside those that are handed in. */
export function misfitOf(
  code: Extract<ErrandErrorCode, 'invalid-input' | 'invalid-output'>,
  what: string,
  given: readonly Issue[],
  { cause, more = 0 }: { readonly cause?: unknown; readonly more?: number } = {},
): ErrandError {
  const issues = given.slice(0, bounds.issues).map(({ keys, message }) => ({
    path: cutText(keys.join('.'), bounds.bytes),
    pointer: cutText(jsonPointer(keys), bounds.bytes),
    message: cutText(message, bounds.bytes),
  }))
  const untold = more + given.length - issues.length
  const texts = issues.map(({ path, message }) => (path === '' ? message : `${path}: ${message}`))
  const end = untold === 0 ? '' : `; and ${untold} more`
  return new ErrandError(code, `${what} does not fit its schema: ${texts.join('; ')}${end}`, {
    details: { issues },
    ...(cause === undefined ? {} : { cause }),
  })
}
