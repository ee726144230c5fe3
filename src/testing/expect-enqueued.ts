/** Asserts that a job was enqueued. */
import { AssertionError } from 'node:assert'
import { inspect } from 'node:util'
import type { JobRecord } from '../client/job-record.ts'
import { readText } from '../core/read.ts'
import { isTask, type AnyTask, type InputOf } from '../core/task.ts'
import type { Errand } from '../errand.ts'
import { checkErrand } from './drain.ts'

/** Some of a value: any of its fields, and of theirs. Lists are compared whole. */
export type Part<T> = T extends readonly unknown[] | Date
  ? T
  : T extends object
    ? { readonly [key in keyof T]?: Part<T[key]> }
    : T

/** How many jobs are looked through, the newest first. */
const looked = 10_000
const page = 1_000
const shown = 20

/**
 * Answers the newest job of a task whose input has at least the given parts, in whatever state it is. Throws an
 * `AssertionError` that shows what was enqueued instead.
 *
 * @example
 * const job = await expectEnqueued(errand, sendMail, { to: 'ada@example.com' })
 * assert.equal(job.queue, 'mail')
 */
export async function expectEnqueued<T extends AnyTask>(
  errand: Errand,
  task: T,
  input?: Part<InputOf<T>>,
): Promise<JobRecord>
export async function expectEnqueued(
  errand: Errand,
  task: string,
  input?: unknown,
): Promise<JobRecord>
export async function expectEnqueued(
  errand: Errand,
  task: AnyTask | string,
  input?: unknown,
): Promise<JobRecord> {
  checkErrand(errand, 'expectEnqueued()')
  const name = isTask(task) ? task.name : readText(task, 'What expectEnqueued() looks for')
  const others: JobRecord[] = []
  for (let after: string | null | undefined; after !== null && others.length < looked;) {
    const found = await errand.jobs.list({ limit: page, ...(after === undefined ? {} : { after }) })
    const fitting = found.jobs.find((job) => job.task === name && fits(job.input, input))
    if (fitting !== undefined) return fitting
    others.push(...found.jobs)
    after = found.next
  }
  const same = others.filter((job) => job.task === name)
  throw new AssertionError({
    message: `No job of ${name}${input === undefined ? '' : ` with ${inspect(input)}`} was enqueued. ${instead(same, others)}`,
    actual: same.map((job) => job.input),
    expected: input,
    operator: 'expectEnqueued',
    stackStartFn: expectEnqueued,
  })
}

function instead(same: readonly JobRecord[], all: readonly JobRecord[]): string {
  if (all.length === 0) return 'Nothing was.'
  const jobs = same.length === 0 ? all : same
  const lines = jobs
    .slice(0, shown)
    .map(
      (job) =>
        `\n  ${job.task} ${inspect(job.input, { depth: 5, breakLength: Infinity })} (${job.state})`,
    )
  const more = jobs.length > shown ? `\n  and ${jobs.length - shown} more` : ''
  return `${same.length === 0 ? 'These were' : 'Of this task were'}:${lines.join('')}${more}`
}

function fits(actual: unknown, part: unknown): boolean {
  if (part === undefined) return true
  if (Array.isArray(part)) {
    return (
      Array.isArray(actual) &&
      actual.length === part.length &&
      part.every((one, i) => fits(actual[i], one))
    )
  }
  if (part instanceof Date) return actual === part.toJSON()
  if (typeof part !== 'object' || part === null) return Object.is(actual, part)
  if (typeof actual !== 'object' || actual === null) return false
  return Object.entries(part).every(([key, one]) =>
    fits((actual as Record<string, unknown>)[key], one),
  )
}
