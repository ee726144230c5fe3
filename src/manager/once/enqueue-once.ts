/**
 * A job for an `Idempotency-Key`: sent again with the same key, a request adds nothing and gets the
 * first answer, from any manager.
 *
 * The record of the key is written in the same step as a plain job, so that there is never one without
 * the other. A job with a unique key of its own may turn out to be another one, and on Redis is stored where
 * that key says. For it the record is written first, as begun, and completed once the job is stored. A
 * record that stays begun, because its manager died, is completed by what the store knows, or begun
 * anew with the same id once no insert of the first can come any more.
 */
import { createHash } from 'node:crypto'
import type { JobOrigin } from '../../app/new-job.ts'
import type { Client } from '../../client/client.ts'
import { insertStep } from '../../client/insert-together.ts'
import type { EnqueueOptions } from '../../core/enqueue-options.ts'
import { longOf } from '../../core/digits.ts'
import { ErrandError, isErrandError } from '../../core/errors.ts'
import { canonicalJson } from '../../core/json.ts'
import { answered, userCallMs } from '../../loops/call-deadline.ts'
import type { Inserted } from '../../store/intake.ts'
import type { NewJob } from '../../store/job.ts'
import type { Store } from '../../store/store.ts'
import type { KeptAnswers } from './kept-answers.ts'

export interface OnceRequest {
  /** The caller's token, and the key that they gave. */
  readonly token: string | null
  readonly key: string
  readonly task: string
  readonly input: unknown
  readonly options: EnqueueOptions
  readonly origin: JobOrigin
}

export type OnceAnswer =
  | (Pick<Inserted, 'id'> & { readonly inserted: Inserted['status'] })
  /** The key came before, with another request. */
  | 'other'
  /** The first request with the key is under way. */
  | 'begun'

/** A record that is still begun after this long was left by a manager that died: longer than any insert takes. */
const begunMs = 2 * userCallMs
/** A record that changes all the time is not tried for ever. */
const mostTries = 5

interface KeyRecord {
  readonly at: number
  /** Of the request: its task, queue, input and options. */
  readonly hash: string
  readonly id: string
  /** Null while the job may not be stored yet. */
  readonly inserted: Inserted['status'] | null
}

/** Enqueues the job, or returns what the first request with the key got. Rejects as `enqueue` does. */
export function enqueueOnce(
  client: Client,
  kept: KeptAnswers,
  request: OnceRequest,
): Promise<OnceAnswer> {
  return client.call((store) => new Enqueuing(client, store, kept, request).run())
}

class Enqueuing {
  readonly #client: Client
  readonly #store: Store
  readonly #kept: KeptAnswers
  readonly #request: OnceRequest
  readonly #key: string
  readonly #hash: string

  constructor(client: Client, store: Store, kept: KeptAnswers, request: OnceRequest) {
    const { token, key, task, input = null, options } = request
    this.#client = client
    this.#store = store
    this.#kept = kept
    this.#request = request
    this.#key = `http/key/${token ?? ''}/${sha256(key)}`
    this.#hash = sha256(canonicalJson([task, longOf(input), { ...options, headers: null }]))
  }

  async run(): Promise<OnceAnswer> {
    let from: string | null = null
    let id: string | undefined
    for (let tries = 0; tries < mostTries; tries += 1) {
      const made = await this.#begin(from, id)
      if (made !== null) return made
      from = await this.#kept.read(this.#key)
      id = undefined
      if (from === null) continue
      const found = JSON.parse(from) as KeyRecord
      if (this.#kept.isOver('http/key/', found)) continue
      if (found.hash !== this.#hash) return 'other'
      if (found.inserted !== null) return { id: found.id, inserted: found.inserted }
      if (await this.#isStored(found.id)) return { id: found.id, inserted: 'created' }
      if (this.#store.clock.now() < found.at + begunMs) return 'begun'
      id = found.id
    }
    throw new ErrandError('store-busy', 'Others use the same Idempotency-Key all the time.')
  }

  /** Stores the job with its record, if the record is at `from`; else null. */
  async #begin(from: string | null, id: string | undefined): Promise<OnceAnswer | null> {
    const { task, input, options, origin } = this.#request
    const named = id === undefined ? origin : { ...origin, id }
    const jobs = await this.#client.prepareAll(task, input, options, named)
    const job = jobs.at(-1)
    if (job === undefined) throw new ErrandError('store-corrupt', 'No job was made.')
    this.#kept.willWrite('http/key/')
    return jobs.every(({ unique }) => unique === null)
      ? this.#insertPlain(jobs, job, from)
      : this.#insertUnique(jobs, job, from)
  }

  async #insertPlain(
    jobs: readonly NewJob[],
    { id }: NewJob,
    from: string | null,
  ): Promise<OnceAnswer | null> {
    const to = this.#record(id, 'created')
    const answers = await insertStep(this.#store, { key: this.#key, from, to }, jobs, undefined)
    return answers === 'stale' ? null : { id, inserted: 'created' }
  }

  async #insertUnique(
    jobs: readonly NewJob[],
    job: NewJob,
    from: string | null,
  ): Promise<OnceAnswer | null> {
    const begun = this.#record(job.id, null)
    if ((await this.#put(from, begun)) === 'stale') return null
    const { id, status: inserted } = await this.#client
      .insert(jobs)
      .catch(async (error: unknown) => {
        // Nothing was stored, so the next request is as good as this one.
        if (!isErrandError(error, 'unknown-outcome')) await this.#put(begun, null).catch(ignored)
        throw error
      })
    // Where this fails, the job is found by its id, or the same one is inserted again.
    await this.#put(begun, this.#record(id, inserted)).catch(ignored)
    return { id, inserted }
  }

  async #put(from: string | null, text: string | null): Promise<'put' | 'stale'> {
    const [answer] = await this.#kept.write('http/key/', [{ key: this.#key, text, if: from }])
    return answer ?? 'stale'
  }

  async #isStored(id: string): Promise<boolean> {
    const [job] = await answered(this.#store.clock, this.#store.get([id]))
    return job !== null && job !== undefined
  }

  #record(id: string, inserted: KeyRecord['inserted']): string {
    const at = this.#store.clock.now()
    return JSON.stringify({ at, hash: this.#hash, id, inserted } satisfies KeyRecord)
  }
}

function ignored(): undefined {
  return undefined
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
