/** Refuses options that nobody knows. */
import { ErrandError, type ErrandErrorCode } from './errors.ts'
import { nearest } from './nearest.ts'
import { shownValue } from './shown.ts'

/** Refuses what is no object of options, and keys that are not known, naming the nearest one that is. */
export function refuseUnknownKeys(
  given: unknown,
  known: readonly string[],
  where: string,
  code: ErrandErrorCode = 'invalid-option',
): void {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw new ErrandError(
      code,
      // A text may be a URL with a password.
      `${where} takes its options as an object, { ${known.slice(0, 3).join(', ')}${known.length > 3 ? ', …' : ''} }, not ${typeof given === 'string' ? 'a text' : shownValue(given)}.`,
    )
  }
  for (const key of Object.keys(given)) {
    if (known.includes(key)) continue
    const meant = nearest(key, known)
    const hint = meant === null ? `Known are: ${known.join(', ')}.` : `Did you mean ${meant}?`
    throw new ErrandError(code, `${where} has no option ${key}. ${hint}`, {
      details: { option: key },
    })
  }
}
