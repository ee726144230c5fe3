/** Webhooks: tasks whose jobs post signed JSON, by Standard Webhooks (standardwebhooks.com). */
import { ErrandError } from '../../core/errors.ts'
import { RetryAfter, Unrecoverable } from '../../core/instructions.ts'
import { refuseUnknownKeys } from '../../core/option-keys.ts'
import { commonKeys, type CommonOptions } from '../../core/options.ts'
import type { Published } from '../../core/published.ts'
import { readText } from '../../core/read.ts'
import type { RunningJob } from '../../core/running-job.ts'
import { inLine, shownUrl } from '../../core/shown.ts'
import { task, type Task } from '../../core/task.ts'
import { readAddressRule, type AddressRule } from './address-rule.ts'
import { deliver, RefusedAddress, type Answer } from './delivery.ts'
import { readSecrets, secondsOf, signWebhook, type WebhookSecrets } from './signature.ts'
import { verdictOf } from './verdict.ts'

/** What a webhook sends: the body of its requests. */
export interface WebhookEvent<Data = unknown> {
  /** What happened, such as `invoice.paid`. */
  readonly type: string
  /** When it happened, ISO 8601. Default: when the job was enqueued. */
  readonly timestamp?: string
  readonly data: Data
}

/** An event as address and secrets are found for it; of a job that ended, `data` says how. */
type Told<Data> = WebhookEvent<Data | Published>

/** What `webhook()` takes; options of tasks beside, of which `timeout` bounds one request and is 15 s by default. */
export interface WebhookOptions<Data = unknown> extends CommonOptions {
  /** The name of the task that sends, unique in an app and for ever. */
  readonly name: string
  readonly queue?: string
  /** Where to, `https:` or `http:`; a function finds it for each event, at each attempt. */
  readonly url: string | ((event: Told<Data>) => string | Promise<string>)
  /** Signs. A function finds it for each event, at each attempt. Secrets never enter a job. */
  readonly secret:
    | WebhookSecrets
    | ((event: Told<Data>) => WebhookSecrets | Promise<WebhookSecrets>)
  /** Addresses and ranges, such as `'10.0.0.0/8'`, that may be reached beside those of the public internet. */
  readonly allow?: readonly string[]
}

const ownKeys = ['name', 'queue', 'url', 'secret', 'allow'] as const
const defaults = { timeout: '15s' } as const

/**
 * Makes a task whose jobs each post one event. Named as `publish` of other tasks, it posts how their jobs end. The id of the job is that of the message, also when it is repeated. Statuses
 * 408, 425, 429 and 5xx, timeouts and failing connections are retried as the task's `retry` says, or when the receiver asks
 * for it by `Retry-After`, at most a day later; any other status but 2xx fails the job at once. Throws `invalid-option`.
 *
 * @example
 * const hook = webhook({ name: 'hooks.billing', url: 'https://example.com/hook', secret: process.env.HOOK_SECRET })
 * await errand.enqueue(hook, { type: 'invoice.paid', data: { invoice: 7 } })
 */
export function webhook<Data = unknown>(
  options: WebhookOptions<Data>,
): Task<Given<Data>, Given<Data>, { status: number }, unknown> {
  const where = 'webhook()'
  refuseUnknownKeys(options, [...ownKeys, ...commonKeys], where)
  const { url, secret, allow = [], ...ofTask } = options
  if (typeof url !== 'function') readUrl(url, `${where}.url`)
  if (typeof secret !== 'function') readSecrets(secret, `${where}.secret`)
  const mayReach = readAddressRule(allow, `${where}.allow`)
  const find = async (event: Told<Data>): Promise<Place> => ({
    url: readUrl(typeof url === 'function' ? await url(event) : url, `${where}.url`),
    secrets: typeof secret === 'function' ? await secret(event) : secret,
    mayReach,
  })
  return task({
    ...defaults,
    ...ofTask,
    run: async (given: Given<Data>, job) => {
      const event = eventOf(given, job)
      return send(event, job, await find(event))
    },
  })
}

/** What its jobs take: an event, or how a job ended. */
type Given<Data> = WebhookEvent<Data> | Published

function eventOf<Data>(given: Given<Data>, { createdAt }: Pick<RunningJob, 'createdAt'>) {
  const timestamp = createdAt.toISOString()
  if ('status' in given) return { type: `job.${given.status}`, timestamp, data: given }
  const { type, data } = given
  if (typeof type !== 'string' || type === '')
    throw new Unrecoverable('The input of a webhook is { type, data }, with a text as its type.')
  return { type, timestamp: given.timestamp ?? timestamp, data }
}

interface Place {
  readonly url: URL
  readonly secrets: WebhookSecrets
  readonly mayReach: AddressRule
}

async function send(
  event: WebhookEvent,
  job: Pick<RunningJob, 'id' | 'signal'>,
  { url, secrets, mayReach }: Place,
): Promise<{ status: number }> {
  const body = JSON.stringify(event)
  const sentAt = new Date()
  const headers = {
    'content-type': 'application/json',
    'user-agent': 'errand',
    'webhook-id': job.id,
    'webhook-timestamp': String(secondsOf(sentAt)),
    'webhook-signature': signWebhook(secrets, { id: job.id, sentAt, body }),
  }
  const answer = await deliver({ url, headers, body, mayReach, signal: job.signal }).catch(
    (error: unknown) => {
      if (error instanceof RefusedAddress) throw new Unrecoverable(error.message)
      job.signal.throwIfAborted()
      throw new Error(`${url.origin} cannot be reached: ${String(error)}`, { cause: error })
    },
  )
  return judge(url, answer)
}

function judge({ origin }: URL, answer: Answer): { status: number } {
  const verdict = verdictOf(answer, Date.now())
  if (verdict.kind === 'taken') return { status: answer.status }
  // The path of an address may be secret, its origin is not.
  const message = inLine(`${origin} refused the webhook: ${verdict.why}`)
  if (verdict.kind === 'refused') throw new Unrecoverable(message)
  throw verdict.afterMs === null ? new Error(message) : new RetryAfter(verdict.afterMs, { message })
}

function readUrl(text: unknown, where: string): URL {
  const url = URL.parse(readText(text, where))
  const isSound =
    url !== null && /^https?:$/.test(url.protocol) && url.username === '' && url.password === ''
  if (isSound) return url
  throw new ErrandError(
    'invalid-option',
    `${where} must be an https: or http: URL without user and password, not ${shownUrl(text)}.`,
  )
}
