/** Aims what was drawn at what is there: else hardly any request would find the one job, lease or workflow that it needs. */
import type { Draft, Known } from './requests.ts'

/** The properties of bodies that name something, and the parameters that name the same. */
const named: Readonly<Record<string, string>> = {
  workflow: 'workflow',
  task: 'task',
  tasks: 'task',
  onSuccess: 'task',
  onFailure: 'task',
  before: 'task',
  queue: 'queue',
  queues: 'queue',
  ids: 'id',
  token: 'token',
}

/** The same draft, whose body names what is there, and which ends or renews a lease that there is; `n` chooses. */
export function aimed(draft: Draft, known: Known, n: number): Draft {
  const { template, body } = draft
  if (template === null) return draft
  const value = parsed(body)
  if (typeof value !== 'object' || value === null) return draft
  const aimedValue = naming(value, (parameter) => {
    const values = known.values(parameter, template)
    return values[n % values.length] ?? ''
  })
  const lease = template.startsWith('/v1/work/{id}/') ? known.lease(n) : null
  if (lease === null) return { ...draft, body: JSON.stringify(aimedValue) }
  const path = template.replace('{id}', lease.id)
  return { ...draft, path, body: JSON.stringify({ ...(aimedValue as object), token: lease.token }) }
}

/**
 * The same value, whose texts and lists of texts under the properties above are what `found` gives for
 * their parameters. What nests deeper than any body that fits stays as it is.
 */
function naming(value: unknown, found: (parameter: string) => string, level = 0): unknown {
  if (typeof value !== 'object' || value === null || level > 6) return value
  const inner = (part: unknown): unknown => naming(part, found, level + 1)
  if (Array.isArray(value)) return value.map(inner)
  return Object.fromEntries(
    Object.entries(value).map(([name, part]) => {
      const parameter = Object.hasOwn(named, name) ? named[name] : undefined
      if (parameter !== undefined && typeof part === 'string') return [name, found(parameter)]
      if (parameter !== undefined && isTexts(part)) return [name, [found(parameter)]]
      return [name, inner(part)]
    }),
  )
}

/** The same draft, which waits for no work: the fuzz does one thing after the other. */
export function impatient(draft: Draft): Draft {
  const value = draft.template === '/v1/work/claim' ? parsed(draft.body) : null
  const wait = value !== null && 'wait' in value ? value.wait : null
  if (typeof wait !== 'number' || wait < 0.01) return draft
  return { ...draft, body: JSON.stringify({ ...value, wait: wait > 30 ? 31 : 0.01 }) }
}

/** Of an empty list nobody knows what it would hold. */
function isTexts(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0 && value.every((one) => typeof one === 'string')
}

/** What a body holds, as far as it is an object or a list. The largest are made to be refused. */
function parsed(body: Draft['body']): object | null {
  if (typeof body !== 'string' || body.length > 10_000) return null
  try {
    const value: unknown = JSON.parse(body)
    return typeof value === 'object' ? value : null
  } catch {
    return null
  }
}
