/**
 * From whatever was thrown to the record that stays with the job. A thrown value may be anything: a proxy whose traps throw, an error of
 * another realm, a chain of causes without an end. So each look at it is guarded, and their number and the length of all texts are bounded.
 */
import type { KeptError } from './job.ts'
import { cutText } from './text.ts'

/** The bound of one kept error, in bytes of JSON. */
export const keptErrorBytes = 6_100
/** The bound of an attempt with its error; `keptAttempts` of them stay within 64 KiB. */
export const keptAttemptBytes = 6_500
const shares = { type: 100, code: 100, message: 2_000, rest: 100 } as const
/** The longest reason that is kept of why a job was discarded or cancelled. */
export const reasonBytes = 1_000
/** The longest text of an error in an event's message. */
const toldBytes = 4_000
/** The longest stack that a person is shown. */
const stackBytes = 64 * 1_024
/** How many causes and inner errors are kept of one error. */
const mostRelated = 10
/** How many inner errors are named in the message, how many fields beside a message, and how many parts of what has none. */
const shownParts = { errors: 5, fields: 5, parts: 100 } as const
/** What a field is cut to. */
const fieldBytes = 100
/** A message longer than this is cut where its stack repeats it, so that the places remain. */
const repeatedBytes = 300

/** Makes a bounded record of a thrown value. Never throws, whatever the value does. */
export function keepError(
  thrown: unknown,
  attempt: number,
  at: number,
  mostBytes: number = keptErrorBytes,
): KeptError {
  const seen = look(thrown)
  const room = (share: number): number => Math.floor((share * mostBytes) / keptErrorBytes)
  const type = cutText(seen.type, room(shares.type), jsonBytes)
  const message = cutText(seen.message, room(shares.message), jsonBytes)
  const code = seen.code === null ? null : cutText(seen.code, room(shares.code), jsonBytes)
  const left = mostBytes - jsonBytes(type) - jsonBytes(message) - jsonBytes(code) - shares.rest
  const trace = traceOf(thrown)
  return {
    type,
    message,
    stack: trace === null || left <= 0 ? null : cutText(trace, left, jsonBytes),
    code,
    attempt,
    at,
  }
}

/** What a thrown value says, without its type. Never throws. */
export function messageOf(thrown: unknown): string {
  return cutText(look(thrown).message, toldBytes)
}

/** What a thrown value says, on one line with its type. Never throws. */
export function errorText(thrown: unknown): string {
  const { type, message } = look(thrown)
  return cutText(typeof thrown === 'object' ? `${type}: ${message}` : message, toldBytes)
}

/** The stack of a thrown value with those of its causes and inner errors; null when there is none. Never throws. */
export function stackOf(thrown: unknown): string | null {
  const trace = traceOf(thrown)
  return trace === null ? null : cutText(trace, stackBytes)
}

/** What can be read of a thrown value. */
interface Seen {
  readonly type: string
  readonly message: string
  readonly stack: string | null
  readonly code: string | null
}

function look(value: unknown): Seen {
  switch (typeof value) {
    case 'string':
      return { type: 'string', message: value, stack: null, code: null }
    case 'undefined':
      return { type: 'undefined', message: 'undefined', stack: null, code: null }
    case 'number':
    case 'boolean':
    case 'bigint':
    case 'symbol':
      return { type: typeof value, message: String(value), stack: null, code: null }
    case 'function':
    case 'object':
      return value === null
        ? { type: 'object', message: 'null', stack: null, code: null }
        : lookAtObject(value)
  }
}

function lookAtObject(value: object): Seen {
  const tag = tagOf(value)
  if (tag === 'Response') return lookAtResponse(value)
  const message = textOf(value, 'message')
  const inner = innerOf(value)
  const stack = textOf(value, 'stack')
  return {
    type: typeName(value, tag, stack !== null),
    message: sayings(value, message, inner, stack !== null),
    stack: stack === null || message === null ? stack : withoutRepeated(stack, message),
    code: tag === 'DOMException' ? null : codeOf(value),
  }
}

/** An error's own message with those of its inner errors, and with the plain fields of what is no error. */
function sayings(
  value: object,
  message: string | null,
  inner: readonly unknown[],
  isError: boolean,
): string {
  if (inner.length > 0)
    return [message, listed(inner)].filter((part) => part !== null && part !== '').join(': ')
  if (message === null) return describe(value, tagOf(value))
  const fields = isError ? '' : fieldsOf(value)
  return fields === '' ? message : `${message} (${fields})`
}

function fieldsOf(value: object): string {
  const fields = readAny(() =>
    Object.entries(value)
      .filter(([key, part]) => !ownFields.includes(key) && isPlainField(part))
      .slice(0, shownParts.fields)
      .map(([key, part]) => `${key}: ${cutText(String(part), fieldBytes)}`),
  )
  return ((fields as readonly string[] | null) ?? []).join(', ')
}

const ownFields = ['message', 'name', 'code']

function isPlainField(part: unknown): boolean {
  return ['string', 'number', 'boolean', 'bigint'].includes(typeof part)
}

/** An error's own name; of what is no error the name of its class, if it has one. */
function typeName(value: object, tag: string, isError: boolean): string {
  const name = textOf(value, 'name')
  if (typeof value !== 'function' && name !== null && name !== '') return name
  if (isError) return 'Error'
  if (tag !== 'Object') return tag === 'Function' ? 'function' : tag
  const ofClass = read(() => (value as { constructor: { name: unknown } }).constructor.name)
  return ofClass === null || ofClass === '' || ofClass === 'Object' ? 'object' : ofClass
}

/** A response of `fetch` that was thrown as it is. Its address goes without what may be secret: user, password, query. */
function lookAtResponse(value: object): Seen {
  const status = readAny(() => (value as { status?: unknown }).status)
  const words = textOf(value, 'statusText') ?? ''
  const url = URL.parse(textOf(value, 'url') ?? '')
  const from = url === null ? '' : ` from ${url.origin}${url.pathname}`
  const message = `${`status ${String(Number(status))} ${words}`.trim()}${from}`
  return { type: 'Response', message, stack: null, code: null }
}

/** The stack of an error with those of its inner errors and causes; null when nothing has one and nothing is behind it. */
function traceOf(thrown: unknown): string | null {
  const parts: string[] = []
  const seen = new Set<unknown>()
  const add = (value: unknown, lead: string): void => {
    if (parts.length > mostRelated || seen.has(value)) return
    seen.add(value)
    parts.push(`${lead}${look(value).stack ?? errorText(value)}`)
    if (typeof value !== 'object' || value === null) return
    for (const one of innerOf(value)) add(one, 'One of its errors: ')
    const cause = readAny(() => (value as { cause?: unknown }).cause)
    if (cause !== undefined && cause !== null) add(cause, 'Caused by: ')
  }
  add(thrown, '')
  return parts.length === 1 && look(thrown).stack === null ? null : parts.join('\n')
}

/** `Error`, `Response`, `Map`, …: what a value is in any realm. */
function tagOf(value: object): string {
  return read(() => Object.prototype.toString.call(value).slice(8, -1)) ?? 'Object'
}

/** The first errors of an `AggregateError` or its like. */
function innerOf(value: object): readonly unknown[] {
  const errors = readAny(() => {
    const { errors } = value as { errors?: unknown }
    return Array.isArray(errors) ? errors.slice(0, mostRelated) : []
  })
  return (errors as readonly unknown[] | null) ?? []
}

function listed(inner: readonly unknown[]): string {
  const shown = inner.slice(0, shownParts.errors).map((one) => {
    if (typeof one !== 'object' || one === null) return cutText(String(one), repeatedBytes)
    const message = textOf(one, 'message') ?? describe(one, tagOf(one))
    return `${textOf(one, 'name') ?? 'Error'}: ${cutText(message, repeatedBytes)}`
  })
  return `${shown.join('; ')}${inner.length > shown.length ? '; and more' : ''}`
}

function codeOf(value: object): string | null {
  const code = readAny(() => (value as { code?: unknown }).code)
  return typeof code === 'string' || Number.isFinite(code) ? String(code) : null
}

/** What a value is that has no message: its JSON, with what JSON cannot hold in words. */
function describe(value: object, tag: string): string {
  if (typeof value === 'function') return `the function ${textOf(value, 'name') ?? ''}`.trim()
  const bytes = readAny(() => ArrayBuffer.isView(value) && value.byteLength)
  if (typeof bytes === 'number') return `${tag} of ${bytes} bytes`
  return read(() => JSON.stringify(value, shower())) ?? 'a value that cannot be shown'
}

/** For `JSON.stringify`: what JSON has no word for is told in words, and no more than a number of parts. */
function shower(): (key: string, value: unknown) => unknown {
  const seen = new Set<unknown>()
  let left: number = shownParts.parts
  return (_key, value) => {
    if (left-- <= 0) return undefined
    if (typeof value === 'bigint') return String(value)
    if (typeof value !== 'object' || value === null) return value
    if (seen.has(value)) return '(shown before)'
    seen.add(value)
    if (Array.isArray(value)) return value.slice(0, shownParts.parts)
    // An error has nothing that JSON would show.
    return seen.size > 1 ? (textOf(value, 'message') ?? value) : value
  }
}

function withoutRepeated(stack: string, message: string): string {
  if (message.length <= repeatedBytes) return stack
  return stack.replace(message, () => cutText(message, repeatedBytes))
}

function textOf(
  value: object,
  key: 'message' | 'name' | 'stack' | 'statusText' | 'url',
): string | null {
  return read(() => (value as { readonly [key in string]?: unknown })[key])
}

function read(get: () => unknown): string | null {
  const value = readAny(get)
  return typeof value === 'string' ? value : null
}

function readAny(get: () => unknown): unknown {
  try {
    return get()
  } catch {
    return null
  }
}

function jsonBytes(text: string | null): number {
  return Buffer.byteLength(JSON.stringify(text))
}
