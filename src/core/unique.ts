/** From a unique option to the rule that a store upholds. */
import { createHash } from 'node:crypto'
import { toMs } from './duration.ts'
import { ErrandError } from './errors.ts'
import type { JobState } from './job.ts'
import { canonicalJson } from './json.ts'
import { refuseUnknownKeys } from './nearest.ts'
import { readStates, type Unique } from './options.ts'
import { isPlain } from './text.ts'
import { readChoice, readText, refuseValue } from './read.ts'

/** A unique option with its times and states read; the key still depends on the input. */
export interface UniqueLayer {
  readonly key: string | ((input: never) => string) | null
  readonly during: readonly JobState[]
  readonly forMs: number | null
  readonly onConflict: 'skip' | 'replace'
}

const waiting: readonly JobState[] = ['blocked', 'scheduled', 'ready']

/** Longest key that is stored as it is, in bytes of UTF-8; a longer one is stored as its hash. */
const longestKeyBytes = 200

/** Reads a unique option; null for none. Throws `invalid-option`. */
export function normaliseUnique(
  unique: Unique | undefined,
  where: string,
): UniqueLayer | null | undefined {
  if (unique === undefined) return undefined
  if (unique === false) return null
  if (unique === true) return { key: null, during: waiting, forMs: null, onConflict: 'skip' }
  if (typeof unique !== 'object' || unique === null)
    refuseValue(where, 'true, false, or an object such as { key: (input) => input.id }', unique)
  refuseUnknownKeys(unique, ['key', 'during', 'for', 'onConflict'], where)
  const { key, during = waiting, onConflict = 'skip' } = unique
  if (key !== undefined && typeof key !== 'function') readText(key, `${where}.key`)
  const states = readStates(during, `${where}.during`)
  if (states.length === 0 && unique.for === undefined) {
    throw new ErrandError(
      'invalid-option',
      `${where}.during lists no state, so that its key is never held: list one, or leave it out.`,
    )
  }
  return {
    key: key ?? null,
    during: states,
    forMs: unique.for === undefined ? null : toMs(unique.for, `${where}.for`),
    onConflict: readChoice(onConflict, ['skip', 'replace'], `${where}.onConflict`),
  }
}

/**
 * The stored key of a job: its task and its own key, or a hash of its input. The first colon ends the task's name, whose own
 * colons are written as in a URL, so that keys of two tasks never meet. `errand.enqueue` in PostgreSQL makes the same keys.
 */
export function uniqueKey(task: string, layer: UniqueLayer, input: unknown): string {
  const own = ownKey(layer, input)
  const isLong = Buffer.byteLength(own) > longestKeyBytes
  return `${task.replaceAll(/[%:]/g, encodeURIComponent)}:${isLong ? `sha256-${hash(own)}` : own}`
}

function ownKey(layer: UniqueLayer, input: unknown): string {
  if (layer.key === null) return `sha256-${hash(canonicalJson(input))}`
  const key = typeof layer.key === 'function' ? layer.key(input as never) : layer.key
  if (typeof key !== 'string' || key === '') {
    throw new ErrandError(
      'invalid-option',
      'unique.key must be, or give, a text that is not empty.',
    )
  }
  // Stores would refuse such a key, or make two of them one, and so would its hash.
  if (!isPlain(key)) {
    throw new ErrandError(
      'invalid-option',
      'unique.key holds half an emoji or a control character, such as a line break: cut texts between whole characters, and join parts by another one.',
    )
  }
  return key
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
