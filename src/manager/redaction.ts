/**
 * Hides what must not be shown: the values at some paths of inputs and outputs, wherever a manager
 * shows a job. A hidden value is also taken out of the job's errors, log lines, progress and output,
 * and cannot be searched for.
 */
import type { JobFilter } from '../client/job-filter.ts'
import type { JobRecord } from '../client/job-record.ts'
import type { Jobs } from '../client/jobs.ts'
import { isLongNumber, parseDigits } from '../core/digits.ts'
import { isErrandError, ErrandError } from '../core/errors.ts'
import { readList } from '../core/read.ts'
import { shownValue } from '../core/shown.ts'
import type { StoredJob } from '../store/job.ts'
import { Problem } from './problem.ts'

const hiddenText = '[redacted]'

/** Shorter texts are too common to be taken out of other texts. */
const leastLength = 4

type Side = 'input' | 'output'
type Path = readonly string[]

/** Texts that are hidden in all that a job says. */
type Secrets = readonly string[]

export class Redaction {
  readonly #paths: Readonly<Record<Side, readonly Path[]>>

  /** Reads paths such as `input.user.password`. Throws `invalid-option`. */
  constructor(paths: readonly string[], where: string) {
    const read = readList(paths, where, "such as ['input.password']").map((path) =>
      readPath(path, where),
    )
    const of = (side: Side): readonly Path[] =>
      read.filter((one) => one.side === side).map(({ path }) => path)
    this.#paths = { input: of('input'), output: of('output') }
  }

  /** The jobs of an app as a manager shows them. */
  jobs(jobs: Jobs): Jobs {
    const secretsOf = async (id: string): Promise<Secrets> => {
      const job = await jobs.get(id)
      return job === null ? [] : this.#secretsOf(job)
    }
    const shown: Partial<Jobs> = {
      get: async (id) => this.#shownOrNull(await jobs.get(id)),
      take: async (id) => this.#shownOrNull(await jobs.take(id)),
      list: async (filter = {}) => {
        this.refuseSearch(filter)
        const page = await jobs.list(filter)
        return { ...page, jobs: page.jobs.map((job) => this.record(job)) }
      },
      logs: async (id) => {
        const [lines, secrets] = await Promise.all([jobs.logs(id), secretsOf(id)])
        return lines.map((line) => ({ ...line, text: without(line.text, secrets) as string }))
      },
      result: async (id, options) => {
        try {
          const output = await jobs.result(id, options)
          return without(hide(output, this.#paths.output), await secretsOf(id))
        } catch (error) {
          throw isErrandError(error) ? shownError(error, await secretsOf(id)) : error
        }
      },
    }
    return Object.assign(Object.create(jobs) as Jobs, shown)
  }

  /** A record of a job as it is shown. */
  record(job: JobRecord): JobRecord {
    const { input, ...rest } = job
    const secrets = this.#secretsOf(job)
    const shown = { ...rest, output: hide(rest.output, this.#paths.output) }
    const kept = { input: hide(input, this.#paths.input), ...pick(job) }
    return { ...(without(shown, secrets) as Omit<JobRecord, 'input'>), ...kept }
  }

  /** A job as a store has it, as far as its payloads can be read without a codec. */
  stored(job: StoredJob): StoredJob {
    const input = jsonOf(job.input)
    const secrets = this.#storedSecrets(job)
    const text = (json: string): string =>
      textOf(without(jsonOf(json), secrets), without(json, secrets) as string)
    const output = job.output === null ? null : hide(jsonOf(job.output), this.#paths.output)
    return {
      ...job,
      input: textOf(hide(input, this.#paths.input), job.input),
      output: job.output === null ? null : textOf(without(output, secrets), job.output),
      attempts: job.attempts.map(text),
      progress: job.progress === null ? null : text(job.progress),
      reason: without(job.reason, secrets) as string | null,
    }
  }

  /** The log of a job as it is shown; of one that is gone, nothing is known to hide. */
  lines<L extends { readonly text: string }>(
    job: StoredJob | null,
    lines: readonly L[],
  ): readonly L[] {
    if (job === null) return lines
    const secrets = this.#storedSecrets(job)
    return lines.map((line) => ({ ...line, text: without(line.text, secrets) as string }))
  }

  /** Refuses a search for what is hidden: a person could find it out by asking. */
  refuseSearch({ search }: Pick<JobFilter, 'search'>): void {
    if (search === undefined) return
    const { in: side = 'input', path } = search
    this.refusePath(side, path.map(String))
  }

  refusePath(side: Side, path: Path): void {
    const isHidden = this.#paths[side].some((hidden) =>
      path.slice(0, hidden.length).every((key, index) => key === hidden[index]),
    )
    if (!isHidden) return
    throw new Problem('forbidden', `What lies at ${[side, ...path].join('.')} is hidden here.`)
  }

  #shownOrNull(job: JobRecord | null): JobRecord | null {
    return job === null ? null : this.record(job)
  }

  #storedSecrets({ input, output }: StoredJob): Secrets {
    return secretsAt([
      [jsonOf(input), this.#paths.input],
      [jsonOf(output), this.#paths.output],
    ])
  }

  #secretsOf({ input, output }: JobRecord): Secrets {
    return secretsAt([
      [input, this.#paths.input],
      [output, this.#paths.output],
    ])
  }
}

/** What names a job, and no handler has written. */
function pick({ id, task, queue, state, createdAt, dueAt, startedAt, finishedAt }: JobRecord) {
  return { id, task, queue, state, createdAt, dueAt, startedAt, finishedAt }
}

function readPath(path: string, where: string): { readonly side: Side; readonly path: Path } {
  const [side, ...keys] = typeof path === 'string' ? path.split('.') : []
  if ((side === 'input' || side === 'output') && !keys.includes('')) return { side, path: keys }
  throw new ErrandError(
    'invalid-option',
    `${where} takes paths such as input.password or output.token, not ${shownValue(path)}.`,
  )
}

function isObject(value: unknown): value is Record<string, unknown> {
  return (
    typeof value === 'object' && value !== null && !(value instanceof Date) && !isLongNumber(value)
  )
}

/** The value without what lies at the paths; a list is entered at each of its places. */
function hide(value: unknown, paths: readonly Path[]): unknown {
  if (value === undefined) return value
  return paths.reduce<unknown>((seen, path) => hideAt(seen, path), value)
}

function hideAt(value: unknown, [key, ...rest]: Path): unknown {
  if (key === undefined) return hiddenText
  if (Array.isArray(value)) {
    const isPlace = /^\d+$/.test(key)
    return value.map((one: unknown, index) => {
      if (!isPlace) return hideAt(one, [key, ...rest])
      return index === Number(key) ? hideAt(one, rest) : one
    })
  }
  if (!isObject(value) || !Object.hasOwn(value, key)) return value
  return { ...value, [key]: hideAt(value[key], rest) }
}

/** The texts at the paths, the longest first, so that none hides a part of another. */
function secretsAt(sides: readonly (readonly [unknown, readonly Path[]])[]): Secrets {
  const found = new Set<string>()
  for (const [value, paths] of sides) for (const path of paths) gather(value, path, found)
  return [...found].toSorted((a, b) => b.length - a.length)
}

function gather(value: unknown, path: Path, found: Set<string>): void {
  const [key, ...rest] = path
  if (Array.isArray(value) && (key === undefined || !/^\d+$/.test(key)))
    for (const one of value) gather(one, path, found)
  else if (key !== undefined) {
    if (isObject(value) && Object.hasOwn(value, key)) gather(value[key], rest, found)
  } else if (isObject(value)) for (const one of Object.values(value)) gather(one, [], found)
  else if (typeof value === 'string' || typeof value === 'number') gatherText(String(value), found)
  else if (isLongNumber(value)) {
    gatherText(value.rawJSON, found)
    // A handler saw the number that a double makes of it.
    gatherText(String(Number(value.rawJSON)), found)
  }
}

function gatherText(text: string, found: Set<string>): void {
  if (text.length >= leastLength) found.add(text)
}

/** The same value, without the secrets in any of its texts. */
function without(value: unknown, secrets: Secrets): unknown {
  if (secrets.length === 0) return value
  if (typeof value === 'string')
    return secrets.reduce((text, secret) => text.replaceAll(secret, () => hiddenText), value)
  if (typeof value === 'number') return secrets.includes(String(value)) ? hiddenText : value
  if (isLongNumber(value)) return secrets.includes(value.rawJSON) ? hiddenText : value
  if (Array.isArray(value)) return value.map((one) => without(one, secrets))
  if (!isObject(value)) return value
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, without(one, secrets)]))
}

function shownError(error: ErrandError, secrets: Secrets): ErrandError {
  const details = without(error.details, secrets) as Readonly<Record<string, unknown>>
  return new ErrandError(error.code, without(error.message, secrets) as string, { details })
}

/** A stored text as a value; undefined for one that a codec wrote. */
function jsonOf(text: string | null): unknown {
  if (text === null) return undefined
  try {
    return parseDigits(text)
  } catch {
    return undefined
  }
}

/** A value as a stored text, or the text that it could not be read from. */
function textOf(value: unknown, otherwise: string): string {
  return value === undefined ? otherwise : JSON.stringify(value)
}
