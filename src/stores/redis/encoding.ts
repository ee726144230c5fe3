/** What lies in the fields of records, and how arguments of scripts are written. */
import type { Counters } from '../../core/job.ts'
import { packCounters } from '../counters.ts'

const special = /[\t\n\\]/

/** Makes a text fit for a field. */
export function escape(text: string): string {
  if (!special.test(text)) return text
  return text.replaceAll('\\', '\\\\').replaceAll('\t', '\\t').replaceAll('\n', '\\n')
}

/** Reads such a text. */
export function unescape(text: string): string {
  if (!text.includes('\\')) return text
  return text.replaceAll(/\\(.)/g, (_, char: string) =>
    char === 't' ? '\t' : char === 'n' ? '\n' : char,
  )
}

/** A text that may be null, as a field. */
export function nullable(text: string | null): string {
  return text === null ? '' : `=${escape(text)}`
}

/** Reads such a text. */
export function readNullable(field: string | undefined): string | null {
  return field === undefined || field === '' ? null : unescape(field.slice(1))
}

/** A text that may be null, as an argument of its own. */
export function textArg(text: string | null): string {
  return text === null ? '' : `=${text}`
}

/** A number of a field; null for an empty one. */
export function readNumber(field: string | undefined): number | null {
  return field === undefined || field === '' ? null : Number(field)
}

/** Counters as a field; '' when all are zero. */
export function countersField(counters: Counters): string {
  return packCounters(counters) ?? ''
}

/** A number of milliseconds as a field; '' for null. */
export function whole(ms: number | null): string {
  return ms === null ? '' : String(Math.round(ms))
}
