/**
 * What is given with a job at its insert, as it lies in the job's record and travels to scripts: a
 * line of fields, then its texts one after the other. This file alone says which fields there are:
 * `fieldAt` for scripts, `packFields` writes, `readFields` reads.
 */
import type { JobFacts, NewJob } from '../../store/job.ts'
import { packLabels, readLabels } from '../labels.ts'
import { escape, nullable, readNullable, readNumber, unescape, whole } from './encoding.ts'
import { isPacked, packId, unpackId } from './ids.ts'
import { packStates } from '../state-codes.ts'

/**
 * Where each field is in the line, counted from 1 as scripts count. Empty fields at the end of a
 * line are left out.
 */
export const fieldAt = {
  task: 1,
  queue: 2,
  priority: 3,
  keepCancelled: 4,
  codec: 5,
  optionsLength: 6,
  parent: 7,
  key: 8,
  during: 9,
  startWithin: 10,
  deadline: 11,
  group: 12,
  labelsLength: 13,
  headStart: 14,
} as const

/** How many fields a line has when none is left out. */
export const fieldCount: number = Object.keys(fieldAt).length

/**
 * Writes the line of fields of a job, and its texts: options, labels and input, with lengths in
 * UTF-16 units in the line.
 */
export function packFields(job: NewJob): string {
  const { unique, options } = job
  const labels = packLabels(job)
  const fields = [
    escape(job.task),
    escape(job.queue),
    job.priority === 0 ? '' : String(job.priority),
    whole(job.keepCancelledMs),
    nullable(job.codec),
    options === null ? '' : String(options.length),
    packParent(job.parent),
    nullable(unique?.key ?? null),
    unique === null ? '' : String(packStates(unique.during)),
    whole(job.startWithinMs),
    whole(job.deadlineMs),
    nullable(job.group),
    labels === null ? '' : String(labels.length),
    (job.headStartMs ?? 0) === 0 ? '' : String(job.headStartMs),
  ]
  return `${trimmed(fields)}\n${options ?? ''}${labels ?? ''}${job.input}`
}

/** What a line of fields says. */
interface Line {
  readonly task: string
  readonly queue: string
  readonly priority: number
  readonly codec: string | null
  /** Length of the options, −1 without any. */
  readonly optionsLength: number
  readonly parent: string | null
  readonly uniqueKey: string | null
  readonly group: string | null
  /** Length of the labels, −1 without any. */
  readonly labelsLength: number
}

/** The facts of a job as readers see them. */
export type Fields = Omit<JobFacts, 'id'> & { readonly uniqueKey: string | null }

/**
 * Reads the fields of a job from its line and its texts, of which something else may follow from
 * `end` on.
 */
export function readFields(line: string, texts: string, end: number): Fields {
  const { task, queue, priority, codec, optionsLength, parent, uniqueKey, group, labelsLength } =
    readLine(line)
  const labelsAt = Math.max(0, optionsLength)
  const inputAt = labelsAt + Math.max(0, labelsLength)
  const labels = readLabels(labelsLength < 0 ? null : texts.slice(labelsAt, inputAt))
  return {
    task,
    queue,
    priority,
    input: texts.slice(inputAt, end),
    codec,
    options: optionsLength < 0 ? null : texts.slice(0, labelsAt),
    parent,
    group,
    tags: labels.tags,
    headers: labels.headers,
    uniqueKey,
  }
}

const lines = new Map<string, Line>()
const mostLines = 1_000

/** Reads a line of fields. The same few occur again and again, so they are kept. */
function readLine(line: string): Line {
  let read = lines.get(line)
  if (read === undefined) {
    const fields = line.split('\t')
    const at = (name: keyof typeof fieldAt): string | undefined => fields[fieldAt[name] - 1]
    read = {
      task: unescape(at('task') ?? ''),
      queue: unescape(at('queue') ?? ''),
      priority: readNumber(at('priority')) ?? 0,
      codec: readNullable(at('codec')),
      optionsLength: readNumber(at('optionsLength')) ?? -1,
      parent: readParent(at('parent')),
      uniqueKey: readNullable(at('key')),
      group: readNullable(at('group')),
      labelsLength: readNumber(at('labelsLength')) ?? -1,
    }
    if (lines.size >= mostLines) lines.clear()
    lines.set(line, read)
  }
  return read
}

/** The field of a parent: packed, unless it is no id that can be. */
export function packParent(parent: string | null): string {
  if (parent === null) return ''
  const packed = packId(parent)
  return isPacked(packed) ? packed : nullable(parent)
}

function readParent(field: string | undefined): string | null {
  return field === undefined || field === '' || field.startsWith('=')
    ? readNullable(field)
    : unpackId(field)
}

function trimmed(fields: readonly string[]): string {
  let length = fields.length
  while (length > 0 && fields[length - 1] === '') length -= 1
  return fields.slice(0, length).join('\t')
}
