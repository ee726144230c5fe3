/**
 * Regular expressions of registered schemas, which may need longer than a lifetime for some texts. Where a pattern and a text
 * could need many steps, the test runs under a watch; for all others it costs nothing.
 */
import { guarded } from './guarded.ts'

/** Some tens of milliseconds. */
const mostSteps = 10_000_000

/** What Ajv needs of a regular expression. */
export interface WatchedPattern {
  readonly test: (text: string) => boolean
  /** Tells patterns apart: those of one text are taken for one. */
  toString(): string
}

/** Throws a `SyntaxError` for what is no regular expression. A test throws `timeout`. */
export function watchedPattern(pattern: string, flags: string, withinMs: number): WatchedPattern {
  const expression = new RegExp(pattern, flags)
  const steps = stepsOf(pattern, flags)
  return {
    toString: () => String(expression),
    test: (text) =>
      steps(text.length) <= mostSteps
        ? expression.test(text)
        : guarded(() => expression.test(text), withinMs),
  }
}

/** One piece of a pattern: a character, a class, an escape; or where a group begins, ends, or offers another way. */
const piece =
  /\\(?:[pP]\{[^}]*\}|u\{[^}]*\}|u[\da-fA-F]{4}|x[\da-fA-F]{2}|k<[^>]*>|.)|\[(?:\\.|[^\]\\])*\]|\((?:\?(?::|=|!|<=|<!|<[^>]+>))?|[\s\S]/guy
const quantifier = /(?:[*+?]|\{\d+(?:,\d*)?\})\??/y

interface Group {
  /** Pieces, without the groups inside; true for those that are repeated without bound. */
  readonly pieces: { readonly text: string; readonly isRepeated: boolean }[]
  hasWays: boolean
}

/** How many steps a test of a text of so many characters may take, by a coarse look that errs to the high side. */
function stepsOf(pattern: string, flags: string): (length: number) => number {
  let around: Group = { pieces: [], hasWays: false }
  const open: Group[] = []
  let repeats = pattern.startsWith('^') ? 0 : 1
  let isDeep = /\\[1-9]|\\k</.test(pattern)
  piece.lastIndex = 0
  for (let at = 0; at < pattern.length;) {
    piece.lastIndex = at
    const text = piece.exec(pattern)?.[0] ?? pattern.charAt(at)
    at += text.length
    let closed: Group | undefined
    if (text.startsWith('(')) {
      open.push(around)
      around = { pieces: [], hasWays: false }
      continue
    }
    if (text === '|') around.hasWays = true
    const outer = text === ')' ? open.pop() : undefined
    if (outer !== undefined) {
      closed = around
      around = outer
    }
    quantifier.lastIndex = at
    const many = quantifier.exec(pattern)?.[0] ?? ''
    at += many.length
    const isRepeated = isUnbounded(many)
    if (isRepeated) repeats++
    if (closed !== undefined && isRepeated && !endsAtOnePlace(closed, flags)) isDeep = true
    if (closed === undefined) around.pieces.push({ text, isRepeated })
    // What a group holds counts for the group around it.
    else {
      around.hasWays ||= closed.hasWays
      around.pieces.push({ text: '(', isRepeated: isRepeated || hasRepeat(closed) })
    }
  }
  return (length) => (isDeep ? 2 ** Math.min(length, 1_000) : length ** repeats)
}

/** `{1,1000}` is as good as without bound. */
function isUnbounded(many: string): boolean {
  if (many === '' || many.startsWith('?')) return false
  const most = /^\{(\d+)(,(\d*))?\}/.exec(many)
  if (most === null) return true
  return most[2] === undefined ? Number(most[1]) > 30 : most[3] === '' || Number(most[3]) > 30
}

function hasRepeat({ pieces }: Group): boolean {
  return pieces.some(({ isRepeated }) => isRepeated)
}

/**
 * Whether each turn of a repeated group ends at one place only: nothing in it is repeated and it offers one way, or it ends with a
 * character that nothing else in it matches.
 */
function endsAtOnePlace(group: Group, flags: string): boolean {
  if (!hasRepeat(group) && !group.hasWays) return true
  const last = group.pieces.at(-1)
  if (last === undefined || group.hasWays || last.isRepeated) return false
  const end = /^\\?([^\w\\[\](){}.*+?|^$]|(?<=\\)[.*+?^$()[\]{}|\\/])$/u.exec(last.text)?.[1]
  if (end === undefined) return false
  return group.pieces.slice(0, -1).every(({ text }) => text !== '(' && !matches(text, end, flags))
}

function matches(text: string, character: string, flags: string): boolean {
  return new RegExp(`^(?:${text})$`, flags).test(character)
}
