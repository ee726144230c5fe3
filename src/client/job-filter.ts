/** Reads filters of jobs. */
import { parseDigits } from '../core/digits.ts'
import { ErrandError } from '../core/errors.ts'
import { readStates, type JobState } from '../core/job.ts'
import { refuseUnknownKeys } from '../core/option-keys.ts'
import { canonicalJson, fromJsonWithDigits, pointerKeys, toJson } from '../core/json.ts'
import { readChoice, readList } from '../core/read.ts'
import { isPlain } from '../core/text.ts'
import type { ListQuery, Search } from '../store/readers.ts'

export interface JobFilter {
  readonly state?: JobState | readonly JobState[]
  readonly task?: string
  readonly queue?: string
  /** The unique key as `key` of a record shows it. */
  readonly key?: string
  readonly parent?: string
  readonly group?: string
  readonly tag?: string
  /** Of the ticks of this schedule. */
  readonly schedule?: string
  /** A value inside the JSON of the input, or of the output with `in: 'output'`; jobs with a codec match nothing. */
  readonly search?: JobSearch
  readonly created?: { readonly from?: Date; readonly to?: Date }
  readonly finished?: { readonly from?: Date; readonly to?: Date }
}

export interface JobSearch {
  /** Default `'input'`. */
  readonly in?: 'input' | 'output'
  /** Keys of objects and indexes of arrays, from the outside in, such as `['order', 'lines', 0, 'sku']`. */
  readonly path: readonly (string | number)[]
  /** Any JSON. */
  readonly equals: unknown
}

export const filterKeys: readonly string[] = [
  'state',
  'task',
  'queue',
  'key',
  'parent',
  'group',
  'tag',
  'schedule',
  'search',
  'created',
  'finished',
]

/** What a filter asks of a store, but for the other names of its task. */
export interface FilterQuery extends Omit<ListQuery, 'limit' | 'tasks'> {
  readonly task?: string
}

/** Turns a filter into a query. Throws `invalid-option` for unknown keys and for values that are no value. */
export function readFilter(filter: JobFilter, where: string): FilterQuery {
  refuseUnknownKeys(filter, filterKeys, where)
  for (const [key, value] of Object.entries(filter)) {
    // A filter that lost its value by accident would fit far more jobs than was meant.
    if (value === undefined || value === null) {
      throw new ErrandError(
        'invalid-option',
        `${where}.${key} has no value; leave it out to fit any.`,
        { details: { option: key } },
      )
    }
  }
  const states =
    filter.state === undefined ? undefined : readStates([filter.state].flat(), `${where}.state`)
  return {
    ...(states === undefined ? {} : { states }),
    ...text('task', filter.task, where),
    ...text('queue', filter.queue, where),
    ...text('parent', filter.parent, where),
    ...text('group', filter.group, where),
    ...text('tag', filter.tag, where),
    ...text('schedule', filter.schedule, where),
    ...readSearch(filter.search, `${where}.search`),
    ...rename(text('key', filter.key, where)),
    ...span('created', filter.created, where),
    ...span('finished', filter.finished, where),
  }
}

/** The states of a filter that a verb fits: all that it fits when the filter names none. */
export function statesFor(
  states: readonly JobState[] | undefined,
  fitting: readonly JobState[],
): readonly JobState[] {
  return states === undefined ? fitting : states.filter((state) => fitting.includes(state))
}

function text<Key extends string>(
  key: Key,
  value: string | undefined,
  where: string,
): { readonly [key in Key]?: string } {
  if (value === undefined) return {}
  if (typeof value !== 'string' || !isPlain(value)) {
    throw new ErrandError(
      'invalid-option',
      `${where}.${key} must be a text without half of an emoji and without control characters: nothing has such a name.`,
    )
  }
  return { [key]: value } as { readonly [key in Key]?: string }
}

function readSearch(search: JobSearch | undefined, where: string): { readonly search?: Search } {
  if (search === undefined) return {}
  refuseUnknownKeys(search, ['in', 'path', 'equals'], where)
  const { in: side = 'input', path, equals } = search
  const keys = readList(path, `${where}.path`, 'keys and indexes')
  return {
    search: {
      in: readChoice(side, ['input', 'output'], `${where}.in`),
      path: keys.map(String),
      equals: canonicalJson(
        fromJsonWithDigits(toJson(equals, `${where}.equals`), `${where}.equals`),
      ),
    },
  }
}

/**
 * Reads a search as people type it, `order.id=7`: keys with dots between them, or a JSON pointer as
 * in `/order/id=7`, and JSON, or else a text. Throws `invalid-option`.
 */
export function parseSearch(text: string, side: 'input' | 'output', where: string): JobSearch {
  const [, path, value] = /^([^=]*)=([^]*)$/.exec(text) ?? []
  if (path === undefined || value === undefined)
    throw new ErrandError('invalid-option', `${where} takes a path and a value: order.id=7`)
  const keys = path.startsWith('/') ? pointerKeys(path) : path.split('.')
  return { in: side, path: path === '' ? [] : keys, equals: jsonOr(value) }
}

function jsonOr(text: string): unknown {
  try {
    return parseDigits(text)
  } catch {
    return text
  }
}

function rename({ key }: { readonly key?: string }): { readonly uniqueKey?: string } {
  return key === undefined ? {} : { uniqueKey: key }
}

function span<Key extends 'created' | 'finished'>(
  key: Key,
  value: { readonly from?: Date; readonly to?: Date } | undefined,
  where: string,
): { readonly [bound in `${Key}From` | `${Key}To`]?: number } {
  if (value === undefined) return {}
  refuseUnknownKeys(value, ['from', 'to'], `${where}.${key}`)
  const bounds = Object.entries(value).map(([bound, date]) => {
    if (!(date instanceof Date) || !Number.isFinite(date.getTime())) {
      throw new ErrandError('invalid-option', `${where}.${key}.${bound} must be a valid Date.`)
    }
    return [`${key}${bound === 'from' ? 'From' : 'To'}`, date.getTime()]
  })
  return Object.fromEntries(bounds) as { readonly [bound in `${Key}From` | `${Key}To`]?: number }
}
