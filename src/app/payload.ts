/** Payloads on their way into and out of a store: checked, written as JSON, encoded, bounded. */
import type { StandardSchemaV1 } from '@standard-schema/spec'
import type { Codec } from '../core/codec.ts'
import { longOf } from '../core/digits.ts'
import { ErrandError, type ErrandErrorCode } from '../core/errors.ts'
import { fromJson, toJson, type ReadJson } from '../core/json.ts'
import type { App } from './app.ts'
import { misfitOf } from './misfit.ts'

type PayloadMisfit = Extract<ErrandErrorCode, 'invalid-input' | 'invalid-output'>

/** Bounds of one payload, in bytes of UTF-8, as it is stored. */
export const payloadBounds: { readonly warnBytes: number; readonly refuseBytes: number } = {
  warnBytes: 256 * 1024,
  refuseBytes: 1024 * 1024,
}

/** Issues that are looked at; an input of a megabyte may have as many. */
const mostIssues = 20

/** Writes a value as the text that a store keeps. Throws `not-json` and `too-large`. */
export function encodePayload(app: App, value: unknown, codec: Codec | null, what: string): string {
  const json = toJson(longOf(value), what)
  const text = codec === null ? json : encodedBy(codec, json)
  // A text of n characters has between n and 3n bytes, so most need no second look.
  if (text.length * 3 > payloadBounds.warnBytes) checkSize(app, Buffer.byteLength(text), what)
  return text
}

/** What a codec makes of JSON. Throws `not-json` when stores could not keep it as it is. */
export function encodedBy(codec: Codec, json: string): string {
  const text: unknown = codec.encode(json)
  if (typeof text === 'string' && text.isWellFormed() && !text.includes('\0')) return text
  throw new ErrandError(
    'not-json',
    `The codec ${codec.name} gives what is no text that every store can keep; write bytes as base64.`,
    { details: { codec: codec.name } },
  )
}

/** Reads what `encodePayload` wrote. Throws `unknown-codec`, and the codec's own errors. */
export function decodePayload(
  app: App,
  text: string,
  codecName: string | null,
  what: string,
  read: ReadJson = fromJson,
): unknown {
  if (codecName === null) return read(text, what)
  const codec = app.findCodec(codecName)
  if (codec === undefined) throw unknownCodec(codecName)
  return read(codec.decode(text), what)
}

/** The error for a codec that the app does not have. */
function unknownCodec(name: string): ErrandError {
  return new ErrandError(
    'unknown-codec',
    `No codec is called ${name}. Add it to \`codecs\` of createErrand().`,
    { details: { codec: name } },
  )
}

/**
 * Checks a value against a schema and answers what the schema makes of it.
 * Throws `invalid-input` or `invalid-output` with the path and the reason of each issue.
 */
export function validate(
  schema: StandardSchemaV1,
  value: unknown,
  code: PayloadMisfit,
  what: string,
): unknown {
  const result = schema['~standard'].validate(value)
  if (result instanceof Promise) return result.then((settled) => unwrap(settled, code, what))
  return unwrap(result, code, what)
}

function unwrap(
  result: StandardSchemaV1.Result<unknown>,
  code: PayloadMisfit,
  what: string,
): unknown {
  if (result.issues === undefined) return result.value
  const told = result.issues.slice(0, mostIssues)
  const issues = told.map(({ message, path = [] }) => ({
    keys: path.map((part) => String(typeof part === 'object' ? part.key : part)),
    message,
  }))
  throw misfitOf(code, what, issues, { more: result.issues.length - told.length })
}

function checkSize(app: App, bytes: number, what: string): void {
  if (bytes > payloadBounds.refuseBytes) {
    throw new ErrandError(
      'too-large',
      `${what} has ${bytes} bytes; at most ${payloadBounds.refuseBytes} are stored. Keep large data elsewhere and pass a reference to it.`,
      { details: { bytes } },
    )
  }
  if (bytes > payloadBounds.warnBytes) {
    app.events.warn('large-payload', { what, bytes, warnBytes: payloadBounds.warnBytes })
  }
}
