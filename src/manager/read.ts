/** Reads what parameters of paths and queries mean, beyond their types. All throw a `Problem`. */
import type { JobFilter } from '../client/job-filter.ts'
import { toMs, type Duration } from '../core/duration.ts'
import { isJobId } from '../core/id.ts'
import { shownValue } from '../core/shown.ts'
import { mayTouch, type Caller } from './caller.ts'
import { Problem } from './problem.ts'

/** The longest wait for an end: shorter than what proxies give a request. */
const longestWaitMs = 30_000

type Query = Readonly<Record<string, unknown>>

/** A parameter of the query that is a text; undefined when it was not given. */
export function textOf(query: Query, name: string): string | undefined {
  const value = query[name]
  return typeof value === 'string' ? value : undefined
}

/** Parameters that are texts, those that were given. */
export function textsOf<Name extends string>(
  query: Query,
  names: readonly Name[],
): { readonly [name in Name]?: string } {
  const given = names.flatMap((name) => {
    const value = textOf(query, name)
    return value === undefined ? [] : [[name, value]]
  })
  return Object.fromEntries(given) as { readonly [name in Name]?: string }
}

/** The id of a job in a path: what is none can be no job's. */
export function readId(params: Readonly<Record<string, string>>): string {
  const { id = '' } = params
  if (isJobId(id)) return id
  throw missingJob()
}

export function missingJob(): Problem {
  return new Problem(
    'job-missing',
    'No such job is known: it was never stored here, was removed, or has outlived its retention.',
  )
}

/** Refuses a caller who may not touch a queue. */
export function checkQueue(caller: Caller, queue: string): void {
  if (!mayTouch(caller, queue))
    throw new Problem('forbidden', `The token is not for the queue ${shownValue(queue)}.`)
}

/** A filter that asks for no more than it must: of a caller with one queue, for that one. */
export function narrowed(caller: Caller, filter: JobFilter): JobFilter {
  const [queue, ...others] = caller.queues ?? []
  const isOne = queue !== undefined && others.length === 0 && filter.queue === undefined
  return isOne ? { ...filter, queue } : filter
}

/** Refuses a caller with some queues only, for what concerns all of them. */
export function checkAllQueues(caller: Caller): void {
  if (caller.queues !== null)
    throw new Problem('forbidden', 'This is for tokens that may touch all queues.')
}

/** A date with its zone, such as `2026-01-31T08:00:00Z`. */
export function readTime(text: string, name: string): Date {
  const isWhole = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:\d{2})$/.test(
    text,
  )
  const time = isWhole ? Date.parse(text) : Number.NaN
  if (Number.isFinite(time)) return new Date(time)
  throw new Problem(
    'invalid-option',
    `${name} is a time such as 2026-01-31T08:00:00Z, not ${shownValue(text)}.`,
  )
}

/** The times of a query that were given. */
export function readTimes<Name extends string>(
  query: Query,
  names: readonly Name[],
): { readonly [name in Name]?: Date } {
  const given = names.flatMap((name) => {
    const value = textOf(query, name)
    return value === undefined ? [] : [[name, readTime(value, name)]]
  })
  return Object.fromEntries(given) as { readonly [name in Name]?: Date }
}

/** How long to wait, in milliseconds; null for not at all. */
export function readWait(query: Query): number | null {
  const given = textOf(query, 'wait')
  if (given === undefined) return null
  const ms = toMs(given as Duration, 'wait')
  if (ms <= longestWaitMs) return ms
  throw new Problem('invalid-option', 'wait is at most 30s: ask again after that.')
}
