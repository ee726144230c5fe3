/** What a call may write on a job for people and programs to find it by: a group, tags, headers. */
import { ErrandError } from './errors.ts'
import { mostTags } from './job.ts'
import { readList, refuseValue } from './read.ts'
import { checkName, isName, isPlain } from './text.ts'

/** The longest tag, in characters. */
const longestTag = 100
/** Names and values of all headers of a job together, in bytes of JSON. */
export const headersBytes = 4_096

/** Labels as a call gives them. */
export interface Labels {
  /** The id of a batch or workflow that the job belongs to. Follow-ups inherit it. */
  readonly group?: string
  /** Words to find the job by, at most 20. */
  readonly tags?: readonly string[]
  /** Small texts by name that travel with the job, such as a trace context or a tenant; 4 KiB in all. Follow-ups inherit them. */
  readonly headers?: Readonly<Record<string, string>>
}

/** Labels as a job holds them. */
export interface ReadLabels {
  readonly group: string | null
  readonly tags: readonly string[]
  readonly headers: Readonly<Record<string, string>>
}

const noLabels: ReadLabels = { group: null, tags: [], headers: {} }

/** Reads labels; what a call leaves out of group and headers it inherits. Throws `invalid-option` and `too-large`. */
export function readLabels(labels: Labels, where: string, inherited: Labels = {}): ReadLabels {
  const { group = inherited.group, tags, headers = inherited.headers } = labels
  if (group === undefined && tags === undefined && headers === undefined) return noLabels
  if (group !== undefined) checkName(group, `${where}.group`)
  return {
    group: group ?? null,
    tags: tags === undefined ? [] : readTags(tags, `${where}.tags`),
    headers: headers === undefined ? {} : readHeaders(headers, `${where}.headers`),
  }
}

/** Reads one tag. */
function readTag(tag: unknown, where: string): string {
  const isTag = typeof tag === 'string' && tag !== '' && tag.length <= longestTag && isPlain(tag)
  return isTag
    ? tag
    : refuseValue(where, `a text of 1 to ${longestTag} characters without control characters`, tag)
}

function readTags(tags: readonly string[], where: string): readonly string[] {
  const read = new Set(
    readList(tags, where, 'texts').map((tag) => readTag(tag, `Each of ${where}`)),
  )
  if (read.size <= mostTags) return [...read]
  throw new ErrandError(
    'invalid-option',
    `${where} has ${read.size} tags; a job has at most ${mostTags}.`,
  )
}

/** Headers of a call with others beside them, which give way: to one of the same name, and where there is no room. */
export function withHeaders(
  others: Readonly<Record<string, string>> | undefined,
  own: Readonly<Record<string, string>> | undefined,
): Readonly<Record<string, string>> | undefined {
  if (own === undefined || others === undefined) return own ?? others
  const all = { ...others, ...own }
  return Buffer.byteLength(JSON.stringify(all)) <= headersBytes ? all : own
}

/** Of texts by name that come from elsewhere those that a job may hold, in their order, as far as there is room. */
export function fittingHeaders(
  given: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  const fitting: Record<string, string> = {}
  let left = headersBytes - 2
  for (const [name, value] of Object.entries(given)) {
    if (!isName(name) || !value.isWellFormed() || value.includes('\0')) continue
    const bytes = Buffer.byteLength(JSON.stringify(name)) + Buffer.byteLength(JSON.stringify(value))
    if (bytes + 2 > left) continue
    left -= bytes + 2
    fitting[name] = value
  }
  return fitting
}

function readHeaders(headers: unknown, where: string): Readonly<Record<string, string>> {
  if (typeof headers !== 'object' || headers === null || Array.isArray(headers))
    return refuseValue(where, 'an object of texts', headers)
  const read: Record<string, string> = {}
  for (const [name, value] of Object.entries(headers)) {
    checkName(name, where)
    if (typeof value !== 'string' || !value.isWellFormed() || value.includes('\0'))
      return refuseValue(
        `${where}.${name}`,
        'a text without half of an emoji and without NUL',
        value,
      )
    read[name] = value
  }
  if (Buffer.byteLength(JSON.stringify(read)) <= headersBytes) return read
  throw new ErrandError(
    'too-large',
    `${where} exceed ${headersBytes / 1_024} KiB: put what is large into the input.`,
  )
}
