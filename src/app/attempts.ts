/** A job's history: its attempts as texts in the store. The facts of a run are plain; its error is written by the job's codec. */
import type { Codec } from '../core/codec.ts'
import type { KeptAttempt, KeptError } from '../core/job.ts'
import { keepError, keptAttemptBytes, keptErrorBytes } from '../core/kept-error.ts'
import type { App } from './app.ts'
import { encodedBy } from './payload.ts'

/** Room for what a codec adds whatever the length of its text. */
const codecSlack = 0.9

/** An attempt as it is stored: with its error as JSON, or as a text of the codec. */
type Stored = Omit<KeptAttempt, 'error'> & { readonly error: KeptError | string | null }

/**
 * Encodes an attempt for `Settlement.attempt`. What a codec makes longer than may be kept is made of a shorter record of what was
 * `thrown`.
 */
export function encodeAttempt(attempt: KeptAttempt, thrown: unknown, codec: Codec | null): string {
  const { error } = attempt
  const text = textOf(attempt, codec)
  const bytes = Buffer.byteLength(text)
  if (error === null || bytes <= keptAttemptBytes) return text
  const room = Math.floor((keptAttemptBytes / bytes) * keptErrorBytes * codecSlack)
  return textOf({ ...attempt, error: keepError(thrown, error.attempt, error.at, room) }, codec)
}

function textOf(attempt: KeptAttempt, codec: Codec | null): string {
  const { error } = attempt
  const isPlain = error === null || codec === null
  const stored: Stored = isPlain
    ? attempt
    : { ...attempt, error: encodedBy(codec, JSON.stringify(error)) }
  return JSON.stringify(stored)
}

/** Decodes the attempts that can be decoded here; an error that cannot is left out of its attempt. */
export function decodeAttempts(
  app: App,
  texts: readonly string[],
  codecName: string | null,
): readonly KeptAttempt[] {
  return texts.flatMap((text) => {
    try {
      const stored = JSON.parse(text) as Stored
      if (typeof stored !== 'object' || !isTime(stored.endedAt)) return []
      return [{ ...stored, error: decodeError(app, stored.error, codecName) }]
    } catch {
      return []
    }
  })
}

function decodeError(
  app: App,
  stored: Stored['error'],
  codecName: string | null,
): KeptError | null {
  try {
    const codec = codecName === null ? null : app.findCodec(codecName)
    const error =
      typeof stored === 'string' && codec ? (JSON.parse(codec.decode(stored)) as KeptError) : stored
    return typeof error === 'object' && error !== null && isTime(error.at) ? error : null
  } catch {
    return null
  }
}

function isTime(value: unknown): boolean {
  return typeof value === 'number' && !Number.isNaN(new Date(value).getTime())
}
