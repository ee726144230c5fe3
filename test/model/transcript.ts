/** How calls, answers and differences are written for people: ids as j1, j2 …, and nothing that says nothing. */
import { inspect } from 'node:util'

/** The id of the n-th job of a run. */
export function idOf(n: number): string {
  return `01920000-0000-7000-8000-${n.toString(16).padStart(12, '0')}`
}

export function told(value: unknown): string {
  const text =
    value instanceof Error
      ? value.message
      : inspect(brief(value), { depth: 9, breakLength: Infinity, maxArrayLength: 1_000 })
  return text.replaceAll(
    /'?01920000-0000-7000-8000-([0-9a-f]{12})'?/g,
    (_, hex: string) => `j${Number.parseInt(hex, 16)}`,
  )
}

/** Leaves out what is null, empty or false. */
function brief(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(brief)
  if (typeof value !== 'object' || value === null) return value
  const said = Object.entries(value).filter(
    ([, field]) =>
      field !== null && field !== false && !(Array.isArray(field) && field.length === 0),
  )
  return Object.fromEntries(said.map(([name, field]) => [name, brief(field)]))
}
