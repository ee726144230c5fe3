/** Filters of jobs: as parameters of a query, and as JSON in a body. */
import { parseSearch, type JobFilter } from '../client/job-filter.ts'
import type { JobState } from '../core/job.ts'
import { Problem } from './problem.ts'
import { readTime, readTimes, textOf, textsOf } from './read.ts'
import type { JsonSchema, QueryParameter } from './route.ts'
import { list, object, stateSchema, text, time, timeParameter } from './schemas.ts'

const names = ['task', 'queue', 'key', 'parent', 'group', 'tag', 'schedule'] as const

function parameter(description: string): QueryParameter {
  return { schema: text, description }
}

export const filterParameters: Readonly<Record<string, QueryParameter>> = {
  state: { schema: list(stateSchema), description: 'In one of these states; may be repeated.' },
  task: parameter('Of this task, by its name or an earlier one.'),
  queue: parameter('In this queue.'),
  key: parameter('With this unique key, as `key` of a job shows it.'),
  parent: parameter('That follow from this job.'),
  group: parameter('Of this group, such as a workflow.'),
  tag: parameter('With this tag.'),
  schedule: parameter('Of the ticks of this schedule.'),
  input: parameter('With this value in the input: `order.id=7`, or `/order/id=7`.'),
  output: parameter('With this value in the output.'),
  createdFrom: timeParameter('Stored at this time or later.'),
  createdTo: timeParameter('Stored before.'),
  finishedFrom: timeParameter('Ended at this time or later.'),
  finishedTo: timeParameter('Ended before.'),
}

/** Throws `invalid-option`. */
export function filterOfQuery(query: Readonly<Record<string, unknown>>): JobFilter {
  const { createdFrom, createdTo, finishedFrom, finishedTo } = readTimes(query, [
    'createdFrom',
    'createdTo',
    'finishedFrom',
    'finishedTo',
  ])
  const state = query['state'] as readonly JobState[] | undefined
  return {
    ...textsOf(query, names),
    ...(state === undefined ? {} : { state }),
    ...searchOf(textOf(query, 'input'), textOf(query, 'output')),
    ...spanOf('created', createdFrom, createdTo),
    ...spanOf('finished', finishedFrom, finishedTo),
  }
}

function searchOf(
  input: string | undefined,
  output: string | undefined,
): Pick<JobFilter, 'search'> {
  if (input !== undefined && output !== undefined)
    throw new Problem('invalid-option', 'Give either input or output, not both.')
  if (input !== undefined) return { search: parseSearch(input, 'input', 'input') }
  return output === undefined ? {} : { search: parseSearch(output, 'output', 'output') }
}

function spanOf(
  name: 'created' | 'finished',
  from: Date | undefined,
  to: Date | undefined,
): Pick<JobFilter, 'created' | 'finished'> {
  if (from === undefined && to === undefined) return {}
  return { [name]: { ...(from && { from }), ...(to && { to }) } }
}

const spanSchema = object({ from: time, to: time }, ['from', 'to'])

/** A filter in a body; `{}` fits all jobs. */
export const filterSchema: JsonSchema = object(
  {
    state: list(stateSchema),
    task: text,
    queue: text,
    key: text,
    parent: text,
    group: text,
    tag: text,
    schedule: text,
    search: object(
      {
        in: { enum: ['input', 'output'] },
        path: list({ type: ['string', 'integer'] }),
        equals: {},
      },
      ['in'],
    ),
    created: spanSchema,
    finished: spanSchema,
  },
  [...names, 'state', 'search', 'created', 'finished'],
)

/** The shape of `filterSchema`. */
export interface FilterBody extends Omit<JobFilter, 'created' | 'finished'> {
  readonly created?: SpanBody
  readonly finished?: SpanBody
}

interface SpanBody {
  readonly from?: string
  readonly to?: string
}

/** Throws `invalid-option` for times that are none. */
export function filterOfBody({ created, finished, ...rest }: FilterBody): JobFilter {
  return {
    ...rest,
    ...(created === undefined ? {} : spanOf('created', ...timesOf(created, 'created'))),
    ...(finished === undefined ? {} : spanOf('finished', ...timesOf(finished, 'finished'))),
  }
}

function timesOf({ from, to }: SpanBody, name: string): [Date | undefined, Date | undefined] {
  return [
    from === undefined ? undefined : readTime(from, `${name}.from`),
    to === undefined ? undefined : readTime(to, `${name}.to`),
  ]
}
