/**
 * Signatures of Standard Webhooks (standardwebhooks.com): HMAC-SHA256 over `id.timestamp.body`, written `v1,<base64>`; several
 * of them, separated by spaces, while a secret is being replaced.
 */
import { createHmac, timingSafeEqual } from 'node:crypto'
import { toMs, type Duration } from '../../core/duration.ts'
import { ErrandError } from '../../core/errors.ts'
import { refuseUnknownKeys } from '../../core/option-keys.ts'

/** One secret, `whsec_` and base64 of 24 to 64 bytes, or several while one replaces another. */
export type WebhookSecrets = string | readonly string[]

/** What is signed: the id, which repeats keep, the time of sending, and the body byte by byte. */
export interface SignedMessage {
  readonly id: string
  readonly sentAt: Date
  readonly body: string | Uint8Array
}

/** A message whose signature was right. */
export interface VerifiedWebhook {
  /** The same for every repeat of a message: remember it, and pass by what you have seen. */
  readonly id: string
  readonly sentAt: Date
  /** The body, parsed as JSON. */
  readonly payload: unknown
}

/** Headers as `fetch` or `node:http` hold them. */
export type WebhookHeaders =
  | Pick<Headers, 'get'>
  | Readonly<Record<string, string | readonly string[] | undefined>>

export interface VerifyOptions {
  /** How far the time of sending may be from now, in either direction. Default 5 min. */
  readonly tolerance?: Duration
  /** Default: the present. */
  readonly now?: Date
}

const defaults = { toleranceMs: 5 * 60_000 } as const
const prefix = 'whsec_'
const secretBytes = { least: 24, most: 64 } as const

/**
 * Signs a message with each secret and returns the value of its header `webhook-signature`. Throws `invalid-option` for what
 * is no secret, without showing it.
 */
export function signWebhook(secrets: WebhookSecrets, message: SignedMessage): string {
  return readSecrets(secrets, 'signWebhook()')
    .map((key) => `v1,${digest(key, message).toString('base64')}`)
    .join(' ')
}

/**
 * Checks a message that came in: `body` must be the bytes as they came, not parsed and written again. Any one of the secrets
 * may have signed it; comparisons take the same time whatever they find. Throws `invalid-signature` for a message that is
 * unsigned, wrongly signed, older or younger than the tolerance, or no JSON.
 *
 * @example
 * const { id, payload } = verifyWebhook(process.env.WEBHOOK_SECRET, request.headers, await request.text())
 */
export function verifyWebhook(
  secrets: WebhookSecrets,
  headers: WebhookHeaders,
  body: string | Uint8Array,
  options: VerifyOptions = {},
): VerifiedWebhook {
  refuseUnknownKeys(options, ['tolerance', 'now'], 'verifyWebhook()')
  const keys = readSecrets(secrets, 'verifyWebhook()')
  const id = readHeader(headers, 'webhook-id')
  const seconds = readHeader(headers, 'webhook-timestamp')
  const given = readHeader(headers, 'webhook-signature')
  if (!/^\d{1,12}$/.test(seconds)) refuse('its webhook-timestamp is no time in seconds')
  const sentAt = new Date(Number(seconds) * 1_000)
  if (!isSignedByAny(keys, { id, sentAt, body }, given)) {
    refuse('none of its signatures is right: is the secret the right one, is the body as it came?')
  }
  const tolerance = options.tolerance ?? defaults.toleranceMs
  const now = options.now ?? new Date()
  if (!(Math.abs(now.getTime() - sentAt.getTime()) <= toMs(tolerance, 'tolerance')))
    refuse('it was sent too long ago, or the two clocks differ')
  return { id, sentAt, payload: parse(body) }
}

/** Compares each signature with each secret's, without an early end. */
function isSignedByAny(keys: readonly Buffer[], message: SignedMessage, given: string): boolean {
  const wanted = keys.map((key) => digest(key, message))
  let isRight = false
  for (const one of given.split(' ')) {
    const signature = one.startsWith('v1,') ? Buffer.from(one.slice(3), 'base64') : null
    if (signature === null) continue
    for (const right of wanted) {
      if (signature.length !== right.length) continue
      if (timingSafeEqual(signature, right)) isRight = true
    }
  }
  return isRight
}

function digest(key: Buffer, { id, sentAt, body }: SignedMessage): Buffer {
  const hmac = createHmac('sha256', key)
  hmac.update(`${id}.${secondsOf(sentAt)}.`)
  return hmac.update(body).digest()
}

/** A time as the header `webhook-timestamp` holds it. */
export function secondsOf(time: Date): number {
  return Math.floor(time.getTime() / 1_000)
}

/** Reads secrets. Throws `invalid-option`, which never shows them. */
export function readSecrets(secrets: unknown, where: string): readonly Buffer[] {
  const list: readonly unknown[] = Array.isArray(secrets) ? secrets : [secrets]
  const keys = list.map(keyOf)
  if (keys.length > 0 && keys.every((key) => key !== null)) return keys
  throw new ErrandError(
    'invalid-option',
    `${where} needs a secret such as whsec_…: base64 of ${secretBytes.least} to ${secretBytes.most} random bytes after whsec_. Make one with: node -p "'whsec_'+crypto.randomBytes(32).toString('base64')"`,
  )
}

function keyOf(secret: unknown): Buffer | null {
  if (typeof secret !== 'string' || !secret.startsWith(prefix)) return null
  const text = secret.slice(prefix.length)
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(text)) return null
  const key = Buffer.from(text, 'base64')
  return key.length >= secretBytes.least && key.length <= secretBytes.most ? key : null
}

function readHeader(headers: WebhookHeaders, name: string): string {
  const found: unknown =
    typeof headers.get === 'function'
      ? headers.get(name)
      : (headers as Readonly<Record<string, unknown>>)[name]
  if (typeof found === 'string' && found !== '') return found
  return refuse(`its header ${name} is missing`)
}

function parse(body: string | Uint8Array): unknown {
  try {
    return JSON.parse(typeof body === 'string' ? body : Buffer.from(body).toString('utf8'))
  } catch {
    return refuse('its body is no JSON')
  }
}

function refuse(why: string): never {
  throw new ErrandError('invalid-signature', `The webhook is refused: ${why}.`)
}
