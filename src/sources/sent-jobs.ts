/** What producers of all brokers have in common: the jobs that they send, and those that are not confirmed. */
import { newId } from '../app/new-id.ts'
import { payloadBounds } from '../app/payload.ts'
import { ErrandError, isErrandError } from '../core/errors.ts'
import { toJson } from '../core/json.ts'
import { refuseUnknownKeys } from '../core/option-keys.ts'
import { readTexts } from '../core/read.ts'
import type { AnyTask, InputOf } from '../core/task.ts'
import { checkName } from '../core/text.ts'

/** A job as a message. */
export interface SentJob<T extends AnyTask | string = AnyTask | string> {
  readonly task: T
  readonly input?: T extends AnyTask ? InputOf<T> : unknown
  /** The broker's queue. It must be there. */
  readonly queue?: string
  /** Tells that a message came before, for those who read it. Default: a new one. Sent again under the same id, a job is made once. */
  readonly id?: string
  /** For the receiver of the result. */
  readonly correlationId?: string
  /** The queue that is to get the result. */
  readonly replyTo?: string
  /** Texts that become headers of the job. */
  readonly headers?: Readonly<Record<string, string>>
}

/** Why a message is not confirmed: only an `unknown` one may have been taken all the same. */
export type Unconfirmed = 'unroutable' | 'refused' | 'unsent' | 'unknown'

/** A job that the broker has not confirmed, as `details.unconfirmed` of an error lists them. */
export interface UnconfirmedJob {
  /** Its place in the call. */
  readonly index: number
  readonly id: string
  /** `unroutable`: no such queue. Only one that is `unknown` may have been taken all the same: send it again under its id. */
  readonly why: Unconfirmed
}

/** A job, read. */
export interface ReadJob {
  readonly queue: string
  readonly id: string
  /** JSON. */
  readonly body: string
}

const jobKeys = ['task', 'input', 'queue', 'id', 'correlationId', 'replyTo', 'headers'] as const

/** Reads a job that is to be sent. `more` are keys that a broker has beside. Throws `invalid-option`, `not-json` and `too-large`. */
export function readJob(
  job: SentJob,
  usualQueue: string | undefined,
  where: string,
  more: readonly string[] = [],
): ReadJob {
  refuseUnknownKeys(job, [...jobKeys, ...more], where)
  readTexts(job, ['queue', 'id', 'correlationId', 'replyTo'], where)
  const { task, input, queue = usualQueue, id = newId() } = job
  const name = typeof task === 'string' ? task : task?.name
  checkName(name, `${where}.task`)
  if (queue === undefined) {
    throw new ErrandError(
      'invalid-option',
      `${where} names no queue, and neither does the producer.`,
    )
  }
  const body = `{"name":${JSON.stringify(name)},"input":${toJson(input, `${where}.input`)}}`
  const bytes = Buffer.byteLength(body)
  if (bytes <= payloadBounds.refuseBytes) return { queue, id, body }
  throw new ErrandError(
    'too-large',
    `${where} has ${bytes} bytes; a job takes at most ${payloadBounds.refuseBytes}. Keep large data elsewhere and send a reference to it.`,
  )
}

/** The error for a call of which some jobs are not confirmed, each with its own error. */
export function notAllSent(
  failed: readonly (UnconfirmedJob & { readonly error: unknown })[],
  all: number,
): ErrandError {
  const sorted = failed.toSorted((a, b) => a.index - b.index)
  const first = sorted.find(({ why }) => why === 'unknown') ?? sorted[0]
  const { error } = first ?? {}
  const code = isErrandError(error) ? error.code : 'server-unavailable'
  const words = error instanceof Error ? error.message : String(error)
  return new ErrandError(code, `${failed.length} of ${all} jobs are not confirmed: ${words}`, {
    cause: error,
    details: { unconfirmed: sorted.map(({ index, id, why }) => ({ index, id, why })) },
  })
}
