/** Finds the word that someone probably meant. */
import { ErrandError, type ErrandErrorCode } from './errors.ts'
import { shownValue } from './shown.ts'

/** The candidate nearest to `word`, or null when none is near. */
export function nearest(word: string, candidates: Iterable<string>): string | null {
  let best: string | null = null
  let bestDistance = Math.max(2, Math.ceil(word.length / 3)) + 1
  for (const candidate of candidates) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase(), bestDistance)
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance]
  }
  return best
}

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

/** Levenshtein distance, given up at `limit`. */
function editDistance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) >= limit) return limit
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const swap = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(swap, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[b.length] ?? limit
}
