/** Names of operations and schemas, as generated clients use them. */
import { hash } from 'node:crypto'

/** `images.resize` becomes `ImagesResize`; empty for a name without Latin letters and digits. */
function camelCase(name: string): string {
  const words = name.match(/[A-Za-z0-9]+/g) ?? []
  return words.map((word) => `${word.charAt(0).toUpperCase()}${word.slice(1)}`).join('')
}

export interface Wanted {
  /** What is named, such as a path: no other has it. */
  readonly key: string
  readonly prefix: string
  /** The words of the name, in any spelling. */
  readonly words: string
  readonly suffix?: string
}

/**
 * Gives each a name of its own. Those that would share one, or take a reserved one, all get the hash of their key after it: if one
 * of them kept the plain name, another that came later could take it, and a client would call that without a sign.
 */
export function uniqueNames(
  wanted: readonly Wanted[],
  reserved: Iterable<string>,
): ReadonlyMap<string, string> {
  const plain = ({ prefix, words, suffix = '' }: Wanted): string =>
    `${prefix}${camelCase(words)}${suffix}`
  const uses = new Map<string, number>()
  // Two names that differ in case only would be one file, or one class, in some generators.
  const folded = (one: Wanted): string => plain(one).toLowerCase()
  for (const one of wanted) uses.set(folded(one), (uses.get(folded(one)) ?? 0) + 1)
  const taken = new Set([...reserved].map((name) => name.toLowerCase()))
  return new Map(
    wanted.map((one) => {
      const isAlone = uses.get(folded(one)) === 1 && !taken.has(folded(one))
      // Letters that were left out may be what tells it from a later one.
      const isWhole = /^[\x20-\x7e]+$/.test(one.words) && camelCase(one.words) !== ''
      const name = isAlone && isWhole ? plain(one) : `${plain(one)}_${shortHash(one.key)}`
      return [one.key, name]
    }),
  )
}

function shortHash(text: string): string {
  return hash('sha256', text).slice(0, 8)
}
