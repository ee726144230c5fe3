/** The input of a job that refers to outputs of others: made when the job is claimed, from what the claim handed out. */
import { ErrandError } from '../core/errors.ts'
import { fromJson, type ReadJson } from '../core/json.ts'
import { readReferences, type Ended } from '../core/references.ts'
import type { Needed } from '../store/job.ts'
import type { App } from './app.ts'
import { decodePayload, payloadBounds } from './payload.ts'

/**
 * Puts outputs in the place of references. Throws `invalid-input` for one that is not there, and `too-large` for outputs, or an
 * input with them, beyond the bounds.
 */
export function withOutputs(
  app: App,
  decoded: unknown,
  needed: Needed,
  read: ReadJson = fromJson,
): unknown {
  if (needed.length === 0) return decoded
  const input = readReferences(decoded, endedIn(app, needed, read))
  const bytes = Buffer.byteLength(JSON.stringify(input) ?? '')
  if (bytes <= payloadBounds.refuseBytes) return input
  throw new ErrandError(
    'too-large',
    `The input is ${bytes} bytes with the outputs that it refers to; at most ${payloadBounds.refuseBytes} are handed to a task. Keep large data elsewhere and pass a reference to it.`,
    { details: { bytes } },
  )
}

/** Tells how needed jobs ended, with their outputs decoded when they are asked for. */
export function endedIn(
  app: App,
  needed: Needed,
  read: ReadJson = fromJson,
): (job: string) => Ended {
  if (typeof needed === 'string')
    throw new ErrandError('too-large', 'The outputs that the input refers to are too large in all.')
  const byId = new Map(needed.map((one) => [one.id, one]))
  return (id) => {
    const one = byId.get(id)
    if (one?.state !== 'completed') return { state: one?.state ?? 'unknown' }
    if (one.output === null) return { state: 'completed', output: null }
    return { state: 'completed', output: decodePayload(app, one.output, one.codec, 'output', read) }
  }
}
