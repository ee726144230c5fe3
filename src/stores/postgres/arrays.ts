/** Values and arrays as the server takes them. */
import { isJobId } from '../../core/id.ts'

/** An array of numbers in PostgreSQL's own writing, nulls as they are. */
export function numbers(values: readonly (number | null)[]): string {
  return `{${values.map((value) => (value === null ? 'NULL' : value)).join()}}`
}

/** A count as the server takes it; what is more is as good as no limit. */
export function bounded(count: number): number {
  return Math.min(count, 1_000_000_000)
}

/** An array of texts. */
export function texts(values: readonly (string | null)[]): string {
  let all = ''
  for (const value of values) {
    const one =
      value === null ? 'NULL' : `"${quotes.test(value) ? value.replace(/["\\]/g, '\\$&') : value}"`
    all = all === '' ? one : `${all},${one}`
  }
  return `{${all}}`
}

const quotes = /["\\]/

/** What stands between joined texts: JSON never holds it as it is. */
export const joint = { text: '\u001f', sql: 'chr(31)' } as const

/**
 * Texts in one; null when one of them holds what stands between them, or there is nothing to take
 * apart.
 */
export function joined(values: readonly string[]): string | null {
  if (values.some((value) => value.includes(joint.text))) return null
  return values.join(joint.text) || null
}

/** A set of numbers, which come in order, as ranges. */
export function ranges(values: readonly number[]): string {
  let text = ''
  let first = NaN
  let next = NaN
  for (const value of values) {
    if (value !== next) {
      if (first < next) text += `[${first},${next}),`
      first = value
    }
    next = value + 1
  }
  return first < next ? `{${text}[${first},${next})}` : '{}'
}

/** The numbers in a set that the server wrote as ranges. */
export function numbersIn(ranges: string): ReadonlySet<number> {
  const found = new Set<number>()
  for (const [, from, to] of ranges.matchAll(/\[(\d+),(\d+)\)/g))
    for (let value = Number(from); value < Number(to); value += 1) found.add(value)
  return found
}

/** An array of ids; one that is no id becomes null, which matches no job. */
export function uuids(values: readonly (string | null)[]): string {
  return `{${values.map((id) => (id !== null && isJobId(id) ? id : 'NULL')).join()}}`
}

/** A column of a batch, or null when all its values are. */
export function column<T>(
  values: readonly (T | null)[],
  write: (values: readonly (T | null)[]) => string,
): string | null {
  return values.some((value) => value !== null) ? write(values) : null
}
