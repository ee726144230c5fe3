/** Reading jobs, and the operators' calls on them. */
import type { ResultOptions } from './enqueued-job.ts'
import type { CancelAnswer, RemoveAnswer, RetryAnswer } from '../store/operators.ts'
import { ErrandError } from '../core/errors.ts'
import { finalStates, isFinal, type JobState, type LogLine } from '../core/job.ts'
import { reasonBytes } from '../core/kept-error.ts'
import { fromJson, type ReadJson } from '../core/json.ts'
import { cutText, isPlain } from '../core/text.ts'
import { refuseUnknownKeys } from '../core/option-keys.ts'
import { readFunction, readSignal, readText, refuseValue } from '../core/read.ts'
import { shownValue } from '../core/shown.ts'
import type { ListQuery, Page, QueueCount } from '../store/readers.ts'
import type { Store } from '../store/store.ts'
import { cancelJobs } from '../app/cancel.ts'
import type { Client } from './client.ts'
import { filterKeys, readFilter, statesFor, type FilterQuery } from './job-filter.ts'
import type { JobFilter } from './job-filter.ts'
import { toRecord, type JobRecord } from './job-record.ts'

/** One id, several, or a filter. Verbs on a filter work in chunks and report after each. */
export type JobTarget = string | readonly string[] | JobFilter

export interface BulkOptions {
  /** Called after each chunk with how many jobs were looked at so far. */
  readonly onProgress?: (done: number) => void
  readonly signal?: AbortSignal
}

export type Tally<Answer extends string> = Readonly<Partial<Record<Answer, number>>>

export interface Jobs {
  /** Null when the job is unknown: never stored, removed, or beyond its retention. */
  get(id: string): Promise<JobRecord | null>
  /**
   * Newest first. `limit` default 100, at most 1,000. A tag, a schedule or a search looks at a bounded
   * number of jobs, which `scanned` says: a page may be short while `next` is not null.
   */
  list(filter?: JobFilter & { readonly limit?: number; readonly after?: string }): Promise<JobPage>
  counts(): Promise<readonly QueueCount[]>
  logs(id: string): Promise<readonly LogLine[]>
  /** Waits for the end and answers the output, from any process. Rejects with `job-failed`, `job-cancelled`, `job-discarded`, `job-missing` or `result-timeout`. */
  result(id: string, options?: ResultOptions): Promise<unknown>
  /** Cancels waiting jobs, asks running ones to end. */
  cancel(
    target: JobTarget,
    options?: BulkOptions & { readonly reason?: string },
  ): Promise<Tally<CancelAnswer>>
  /** Makes failed, cancelled and discarded jobs ready again. */
  retry(target: JobTarget, options?: BulkOptions): Promise<Tally<RetryAnswer>>
  /** Removes jobs that are not running. */
  remove(target: JobTarget, options?: BulkOptions): Promise<Tally<RemoveAnswer>>
  /** Reads a final job and removes it, in one step; null when it is unknown or not final. */
  take(id: string): Promise<JobRecord | null>
}

/** A page of jobs. */
interface JobPage {
  readonly jobs: readonly JobRecord[]
  readonly next: string | null
  readonly scanned?: number
}

/** Most jobs of one page, and of one call of a verb. */
const jobsBounds = { page: 1_000, defaultPage: 100, chunk: 500 } as const

/** The states of the jobs that each verb on a filter looks at. */
export const verbStates: Readonly<Record<'cancel' | 'retry' | 'remove', readonly JobState[]>> = {
  cancel: ['blocked', 'scheduled', 'ready', 'running'],
  retry: ['failed', 'cancelled', 'discarded'],
  remove: ['blocked', 'scheduled', 'ready', ...finalStates],
}

const bulkKeys = ['signal', 'onProgress'] as const

/** What a verb does to a chunk, and which states it fits. */
interface Verb<Answer extends string> {
  readonly name: string
  readonly fits: readonly JobState[]
  readonly act: (store: Store, ids: readonly string[]) => Promise<readonly Answer[]>
}

/** Makes `errand.jobs`; `json` reads the payloads of jobs. */
export function createJobs(client: Client, json: ReadJson = fromJson): Jobs {
  const { app } = client
  return {
    async get(id) {
      checkId(id, 'jobs.get()')
      const [job] = await client.call((store) => store.get([id]))
      return job ? toRecord(app, job, json) : null
    },

    async list(filter = {}) {
      const where = 'jobs.list()'
      refuseUnknownKeys(filter, [...filterKeys, 'limit', 'after'], where)
      const { limit = jobsBounds.defaultPage, after, ...rest } = filter
      if (!Number.isInteger(limit) || limit < 1 || limit > jobsBounds.page) {
        throw new ErrandError(
          'invalid-option',
          `${where}.limit must be a whole number from 1 to ${jobsBounds.page}, not ${shownValue(limit)}.`,
        )
      }
      if (after !== undefined) readText(after, `${where}.after`)
      const query = await withNames(client, readFilter(rest, where))
      const cursor = after === undefined ? {} : { after }
      const page = await client.call((store) => store.list({ ...query, limit, ...cursor }))
      return { ...page, jobs: page.jobs.map((job) => toRecord(app, job, json)) }
    },

    async counts() {
      return client.call((store) => store.counts())
    },

    async logs(id) {
      checkId(id, 'jobs.logs()')
      return client.call((store) => store.logs(id))
    },

    async result(id, options) {
      checkId(id, 'jobs.result()')
      return client.results.wait(id, options, { json })
    },

    async cancel(target, options = {}) {
      const name = 'jobs.cancel()'
      refuseUnknownKeys(options, [...bulkKeys, 'reason'], name)
      const { reason = null, ...bulk } = options
      const why = readReason(reason, `${name}.reason`)
      return apply(client, target, bulk, {
        name,
        fits: verbStates.cancel,
        act: (store, ids) => cancelJobs(store, ids, why),
      })
    },

    async retry(target, options) {
      return apply(client, target, options, {
        name: 'jobs.retry()',
        fits: verbStates.retry,
        act: (store, ids) => store.retry(ids),
      })
    },

    async remove(target, options) {
      return apply(client, target, options, {
        name: 'jobs.remove()',
        fits: verbStates.remove,
        act: (store, ids) => store.remove(ids),
      })
    },

    async take(id) {
      checkId(id, 'jobs.take()')
      const [job] = await client.call((store) => store.take([id]))
      return job && isFinal(job.state) ? toRecord(app, job, json) : null
    },
  }
}

/** Applies a verb in chunks, counting its answers. */
async function apply<Answer extends string>(
  client: Client,
  target: JobTarget,
  options: BulkOptions = {},
  verb: Verb<Answer>,
): Promise<Tally<Answer>> {
  refuseUnknownKeys(options, bulkKeys, verb.name)
  if (options.signal !== undefined) readSignal(options.signal, `${verb.name}.signal`)
  if (options.onProgress !== undefined) readFunction(options.onProgress, `${verb.name}.onProgress`)
  return client.call(async (store) => {
    const tally: Partial<Record<Answer, number>> = {}
    let done = 0
    for await (const ids of chunksOf(client, store, target, verb)) {
      options.signal?.throwIfAborted()
      for (const answer of await verb.act(store, ids)) tally[answer] = (tally[answer] ?? 0) + 1
      done += ids.length
      options.onProgress?.(done)
    }
    return tally
  })
}

function chunksOf(
  client: Client,
  store: Store,
  target: JobTarget,
  verb: Verb<string>,
): AsyncIterable<readonly string[]> | Iterable<readonly string[]> {
  if (typeof target === 'string') return chunksOfIds([target], verb.name)
  if (Array.isArray(target)) return chunksOfIds(target as readonly string[], verb.name)
  if (typeof target === 'object' && target !== null)
    return pagesOf(client, store, target as JobFilter, verb)
  throw new ErrandError(
    'invalid-option',
    `${verb.name} needs an id, a list of ids or a filter; {} fits all jobs.`,
  )
}

function* chunksOfIds(ids: readonly string[], where: string): Generator<readonly string[]> {
  for (const id of ids) checkId(id, where)
  for (let from = 0; from < ids.length; from += jobsBounds.chunk)
    yield ids.slice(from, from + jobsBounds.chunk)
}

/**
 * A cursor goes by the order of inserts, so what the verb does to a page shifts no later one, and
 * the next page is read while the verb is at work on this one.
 */
async function* pagesOf(
  client: Client,
  store: Store,
  filter: JobFilter,
  verb: Verb<string>,
): AsyncGenerator<readonly string[]> {
  const query = await withNames(client, readFilter(filter, verb.name))
  const states = statesFor(query.states, verb.fits)
  if (states.length === 0) return
  const read = (cursor: { readonly after?: string }): Promise<Page> =>
    store.list({ ...query, states, limit: jobsBounds.chunk, ...cursor })
  let reading: Promise<Page> | null = read({})
  try {
    while (reading !== null) {
      const { jobs, next }: Page = await reading
      reading = next === null ? null : read({ after: next })
      // Whoever awaits it meets its error; until then it must not end the process.
      reading?.catch(() => {})
      if (jobs.length > 0) yield jobs.map((job) => job.id)
    }
  } finally {
    // Where the verb failed or was stopped, nobody needs the page, but the call is not over before its last read.
    await reading?.catch(() => {})
  }
}

/** A task that was renamed has jobs under each of its names. */
async function withNames(
  client: Client,
  { task, ...query }: FilterQuery,
): Promise<Omit<ListQuery, 'limit'>> {
  return task === undefined ? query : { ...query, tasks: await client.namesOf(task) }
}

/** Only people read a reason, so it is made to fit where it does not. */
function readReason(reason: unknown, where: string): string | null {
  if (reason === null) return null
  return typeof reason === 'string'
    ? cutText(reason, reasonBytes)
    : refuseValue(where, 'a text', reason)
}

function checkId(id: unknown, where: string): void {
  if (typeof id === 'string' && id !== '' && isPlain(id)) return
  throw new ErrandError('invalid-option', `${where} needs the id of a job, not ${shownValue(id)}.`)
}
