/**
 * JSON whose numbers keep all their digits. JavaScript holds every number as a double, which rounds
 * 9007199254740993, 1e400 and 0.1000000000000000055. Such a number stays in its own text here, as
 * `JSON.rawJSON` makes it, and `JSON.stringify` writes it as it came.
 */

/** A number that a double cannot hold: an object without prototype, which `JSON.stringify` writes as the text in it. */
export interface LongNumber {
  readonly rawJSON: string
}

type Reviver = (key: string, value: unknown, context: { readonly source?: string }) => unknown

/** What the library of the compiler does not know yet. */
const json = JSON as unknown as {
  readonly parse: (text: string, reviver?: Reviver) => unknown
  readonly rawJSON: (text: string) => LongNumber
  readonly isRawJSON: (value: unknown) => value is LongNumber
}

/** Parses JSON; a number that a double would round becomes a `LongNumber`. Throws `SyntaxError`. */
export function parseDigits(text: string): unknown {
  return withDigits(text, json.parse(text))
}

/** The same for JSON that was parsed already: its value itself where no number was rounded. */
export function withDigits(text: string, value: unknown): unknown {
  return hasLongNumber(text) ? json.parse(text, keep) : value
}

export function isLongNumber(value: unknown): value is LongNumber {
  return json.isRawJSON(value)
}

/** The one form of all texts that mean the same number, for comparison. */
export function sameDigits({ rawJSON }: LongNumber): LongNumber {
  return json.rawJSON(normal(rawJSON))
}

const keep: Reviver = (_key, value, { source }) =>
  typeof value !== 'number' || source === undefined || isWhole(value, source)
    ? value
    : json.rawJSON(source)

const quote = 0x22
const backslash = 0x5c
const zero = 0x30
const nine = 0x39
const dot = 0x2e
const plus = 0x2b
const minus = 0x2d
/** `e`, and `E` with the bit that makes it small. */
const exponent = 0x65
const smallBit = 0x20
/** A double keeps every number of so many digits. */
const keptDigits = 15

/**
 * Whether a number in a text of JSON is one that a double rounds. A look that costs less than the
 * parsing, so that only such texts are parsed the slow way, with a function that is called for each part.
 */
function hasLongNumber(text: string): boolean {
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === quote) at = endOfText(text, at)
    else if (code >= zero && code <= nine) {
      const from = at
      let isLong = false
      for (; at < text.length; at++) {
        const next = text.charCodeAt(at)
        if (next >= zero && next <= nine) continue
        if ((next | smallBit) === exponent) isLong = true
        else if (next !== dot && next !== plus && next !== minus) break
      }
      if (!isLong && at - from <= keptDigits) continue
      const source = text.slice(from, at)
      if (!isWhole(Number(source), source)) return true
    }
  }
  return false
}

/** Where the text of JSON ends that begins at a quotation mark. */
function endOfText(json: string, from: number): number {
  for (let end = json.indexOf('"', from + 1); end !== -1; end = json.indexOf('"', end + 1)) {
    let before = end - 1
    while (json.charCodeAt(before) === backslash) before -= 1
    if ((end - before) % 2 === 1) return end
  }
  return json.length
}

/** Whether a double is the number that a text of JSON means. */
export function isWhole(value: number, source: string): boolean {
  const text = String(value)
  return text === source || (Number.isFinite(value) && normal(text) === normal(source))
}

/** A number as its digits, without zeros around them, and a power of ten. */
function normal(text: string): string {
  const [, sign = '', whole = '', part = '', power = '0'] =
    /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(text) ?? []
  const digits = whole + part
  let from = 0
  let to = digits.length
  while (digits[from] === '0') from += 1
  if (from === to) return '0'
  while (digits[to - 1] === '0') to -= 1
  const shift = Number(power)
  // Powers that JavaScript cannot add up are compared as they are written.
  if (!Number.isSafeInteger(shift)) return text
  return `${sign}${digits.slice(from, to)}e${shift - part.length + digits.length - to}`
}

const plainOfBoth = Symbol.for('errand.plain')
const longOfBoth = Symbol.for('errand.long')

/** A value with numbers that a double rounds: as handlers and schemas see it, and as it is stored. */
interface Both {
  readonly [plainOfBoth]: unknown
  readonly [longOfBoth]: unknown
}

/** Joins a value as JavaScript holds it with the same one as `parseDigits` gives it. */
export function both(plain: unknown, long: unknown): unknown {
  return plain === long ? plain : ({ [plainOfBoth]: plain, [longOfBoth]: long } satisfies Both)
}

/** The value whose numbers are all doubles. */
export function plainOf(value: unknown): unknown {
  return isBoth(value) ? value[plainOfBoth] : value
}

/** The value with all digits, for `JSON.stringify`. */
export function longOf(value: unknown): unknown {
  return isBoth(value) ? value[longOfBoth] : value
}

function isBoth(value: unknown): value is Both {
  return typeof value === 'object' && value !== null && longOfBoth in value
}
