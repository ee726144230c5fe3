/** JSON whose numbers keep all their digits. */
import { isWhole } from '../src/core/digits.ts'

/** A number that JavaScript cannot hold, with its digits. */
export class Digits {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }

  toString(): string {
    return this.text
  }

  /** For `JSON.stringify`: the digits themselves where the browser can write them. */
  forJson(): unknown {
    const { rawJSON } = JSON as unknown as { rawJSON?: (text: string) => unknown }
    return rawJSON === undefined ? Number(this.text) : rawJSON(this.text)
  }
}

type Reviver = (name: string, value: unknown, context?: { readonly source?: string }) => unknown

const keepDigits: Reviver = (_name, value, context) => {
  if (typeof value !== 'number' || context?.source === undefined) return value
  return isWhole(value, context.source) ? value : new Digits(context.source)
}

/** Parses JSON; a number that would change by it becomes `Digits`. Throws `SyntaxError`. */
export function parseJson(text: string): unknown {
  return (JSON.parse as (text: string, reviver: Reviver) => unknown)(text, keepDigits)
}

/** A number as somebody typed it, with all its digits; null for a text that is none. */
export function numberOf(typed: string): number | Digits | null {
  try {
    const value = parseJson(typed)
    return typeof value === 'number' || value instanceof Digits ? value : null
  } catch {
    // A field of a browser also takes what JSON does not, such as .5
    const value = Number(typed)
    return typed.trim() !== '' && Number.isFinite(value) ? value : null
  }
}

/** JSON for people, indented; at most so many characters. */
export function prettyJson(value: unknown, indent = 2): string {
  if (value === undefined) return ''
  return write(value, indent, '')
}

function write(value: unknown, indent: number, before: string): string {
  if (value instanceof Digits) return value.text
  if (value === null || typeof value !== 'object') return JSON.stringify(value) ?? 'null'
  const isList = Array.isArray(value)
  const inner = before + ' '.repeat(indent)
  const items = isList
    ? value.map((one) => write(one, indent, inner))
    : Object.entries(value).map(([name, one]) => {
        return `${JSON.stringify(name)}: ${write(one, indent, inner)}`
      })
  const [open, close] = isList ? '[]' : '{}'
  if (items.length === 0) return `${open}${close}`
  if (indent === 0) return `${open}${items.join(', ')}${close}`
  return `${open}\n${inner}${items.join(`,\n${inner}`)}\n${before}${close}`
}

/** A value in one short line. */
export function shortJson(value: unknown, most = 80): string {
  const text = value === undefined ? '' : write(value, 0, '')
  return text.length <= most
    ? text
    : `${text
        .slice(0, most - 1)
        .toWellFormed()
        .replace(/\ufffd$/, '')}…`
}
