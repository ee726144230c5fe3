/** Aims what was drawn at what is there: else hardly any request would find the one job, lease or workflow that it needs. */
import type { Draft, Known } from './requests.ts'

/** The property of a body that names something, and the parameter that names the same. */
const named: Readonly<Record<string, string>> = {
  workflow: 'workflow',
  task: 'task',
  tasks: 'task',
  queue: 'queue',
  queues: 'queue',
}

/** The same draft, whose body names what is there, and which ends or renews a lease that there is; `n` chooses. */
export function aimed(draft: Draft, known: Known, n: number): Draft {
  const { template, body } = draft
  if (template === null || typeof body !== 'string') return draft
  const value = parsed(body)
  if (value === null) return draft
  for (const [name, parameter] of Object.entries(named)) {
    const values = known.values(parameter, template)
    const found = values[n % values.length] ?? ''
    if (typeof value[name] === 'string') value[name] = found
    if (Array.isArray(value[name]) && value[name].every((one) => typeof one === 'string'))
      value[name] = [found]
  }
  const lease = template.startsWith('/v1/work/{id}/') ? known.lease(n) : null
  if (lease === null) return { ...draft, body: JSON.stringify(value) }
  const path = template.replace('{id}', lease.id)
  return { ...draft, path, body: JSON.stringify({ ...value, token: lease.token }) }
}

/** The same draft, which waits for no work: the fuzz does one thing after the other. */
export function impatient(draft: Draft): Draft {
  const value = draft.template === '/v1/work/claim' ? parsed(draft.body) : null
  if (typeof value?.['wait'] !== 'number' || value['wait'] < 0.01) return draft
  return { ...draft, body: JSON.stringify({ ...value, wait: value['wait'] > 30 ? 31 : 0.01 }) }
}

function parsed(body: Draft['body']): Record<string, unknown> | null {
  if (typeof body !== 'string') return null
  try {
    const value: unknown = JSON.parse(body)
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
    return isObject ? (value as Record<string, unknown>) : null
  } catch {
    return null
  }
}
