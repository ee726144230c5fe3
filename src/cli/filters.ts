/** The options that choose jobs, shared by the commands on jobs. */
import type { Command } from 'commander'
import { parseSearch, type JobFilter, type JobSearch } from '../client/job-filter.ts'
import { ErrandError } from '../core/errors.ts'
import { jobStates, type JobState } from '../core/job.ts'
import { nearest } from '../core/nearest.ts'
import { quoted } from '../core/words.ts'
import { several } from './options.ts'
import { readPast } from './times.ts'

/** What commander reads of the filter options. */
export interface FilterOptions {
  readonly state?: readonly string[]
  readonly task?: string
  readonly queue?: string
  readonly key?: string
  readonly parent?: string
  readonly group?: string
  readonly tag?: string
  readonly schedule?: string
  readonly input?: string
  readonly output?: string
  readonly createdFrom?: string
  readonly createdTo?: string
  readonly finishedFrom?: string
  readonly finishedTo?: string
}

/** Adds the filter options to a command. */
export function addFilters(command: Command): Command {
  return command
    .optionsGroup('Filters:')
    .option('--state <state>', 'in this state; may be repeated, or several with commas', several)
    .option('--task <name>', 'of this task')
    .option('--queue <name>', 'in this queue')
    .option('--key <key>', 'holding this unique key')
    .option('--parent <id>', 'followed from this job')
    .option('--group <id>', 'of this group')
    .option('--tag <tag>', 'with this tag')
    .option('--schedule <name>', 'of the ticks of this schedule')
    .option('--input <path=value>', 'with this value in the input, such as order.id=7')
    .option('--output <path=value>', 'with this value in the output')
    .option('--created-from <when>', 'enqueued since a date, or so long ago: 2h')
    .option('--created-to <when>', 'enqueued before')
    .option('--finished-from <when>', 'ended since')
    .option('--finished-to <when>', 'ended before')
}

/** Reads the filter options; null when none was given. Throws `invalid-option`. */
export function readFilter(options: FilterOptions): JobFilter | null {
  const created = readSpan(options.createdFrom, options.createdTo, '--created')
  const finished = readSpan(options.finishedFrom, options.finishedTo, '--finished')
  const filter: JobFilter = {
    ...(options.state === undefined ? {} : { state: readStates(options.state) }),
    ...(options.task === undefined ? {} : { task: options.task }),
    ...(options.queue === undefined ? {} : { queue: options.queue }),
    ...(options.key === undefined ? {} : { key: options.key }),
    ...(options.parent === undefined ? {} : { parent: options.parent }),
    ...(options.group === undefined ? {} : { group: options.group }),
    ...(options.tag === undefined ? {} : { tag: options.tag }),
    ...(options.schedule === undefined ? {} : { schedule: options.schedule }),
    ...readSearch(options),
    ...(created === null ? {} : { created }),
    ...(finished === null ? {} : { finished }),
  }
  return Object.keys(filter).length === 0 ? null : filter
}

function readSearch({ input, output }: FilterOptions): { readonly search?: JobSearch } {
  if (input === undefined && output === undefined) return {}
  if (input !== undefined && output !== undefined)
    throw new ErrandError('invalid-option', 'Give either --input or --output, not both.')
  const side = input === undefined ? 'output' : 'input'
  return { search: parseSearch(input ?? output ?? '', side, `--${side}`) }
}

/** Writes filter options again, for a command to type next. */
export function filterArguments(options: FilterOptions): readonly string[] {
  const given: readonly (readonly [string, string | undefined])[] = [
    ['--state', options.state?.join(',')],
    ['--task', options.task],
    ['--queue', options.queue],
    ['--key', options.key],
    ['--parent', options.parent],
    ['--group', options.group],
    ['--tag', options.tag],
    ['--schedule', options.schedule],
    ['--input', options.input],
    ['--output', options.output],
    ['--created-from', options.createdFrom],
    ['--created-to', options.createdTo],
    ['--finished-from', options.finishedFrom],
    ['--finished-to', options.finishedTo],
  ]
  return given.flatMap(([name, value]) => (value === undefined ? [] : [name, quoted(value)]))
}

function readStates(given: readonly string[]): readonly JobState[] {
  return given.flatMap((text) => text.split(',')).map(readState)
}

function readState(text: string): JobState {
  const state = jobStates.find((one) => one === text.trim())
  if (state !== undefined) return state
  const meant = nearest(text, jobStates)
  throw new ErrandError(
    'invalid-option',
    `--state ${text} is no state. ${meant === null ? `States are ${jobStates.join(', ')}.` : `Did you mean ${meant}?`}`,
  )
}

function readSpan(
  from: string | undefined,
  to: string | undefined,
  option: string,
): { readonly from?: Date; readonly to?: Date } | null {
  if (from === undefined && to === undefined) return null
  return {
    ...(from === undefined ? {} : { from: readPast(from, `${option}-from`) }),
    ...(to === undefined ? {} : { to: readPast(to, `${option}-to`) }),
  }
}
