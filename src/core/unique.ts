/** From a unique option to the rule that a store upholds. */
import { createHash } from 'node:crypto'
import { toMs } from './duration.ts'
import { ErrandError } from './errors.ts'
import type { JobState } from './job.ts'
import { canonicalJson } from './json.ts'
import { refuseUnknownKeys } from './nearest.ts'
import { readStates, type Unique } from './options.ts'
import { isPlain } from './text.ts'

/** A unique option with its times and states read; the key still depends on the input. */
export interface UniqueLayer {
  readonly key: string | ((input: never) => string) | null
  readonly during: readonly JobState[]
  readonly forMs: number | null
  readonly onConflict: 'skip' | 'replace'
}

const waiting: readonly JobState[] = ['blocked', 'scheduled', 'ready']

/** Longest key that is stored as it is; a longer one is stored as its hash. */
const longestKey = 200

/** Reads a unique option; null for none. Throws `invalid-option`. */
export function normaliseUnique(
  unique: Unique | undefined,
  where: string,
): UniqueLayer | null | undefined {
  if (unique === undefined) return undefined
  if (unique === false) return null
  if (unique === true) return { key: null, during: waiting, forMs: null, onConflict: 'skip' }
  refuseUnknownKeys(unique, ['key', 'during', 'for', 'onConflict'], where)
  const onConflict = unique.onConflict ?? 'skip'
  if (onConflict !== 'skip' && onConflict !== 'replace') {
    throw new ErrandError('invalid-option', `${where}.onConflict must be 'skip' or 'replace'.`)
  }
  return {
    key: unique.key ?? null,
    during: readStates(unique.during ?? waiting, `${where}.during`),
    forMs: unique.for === undefined ? null : toMs(unique.for, `${where}.for`),
    onConflict,
  }
}

/** The stored key of a job: its task and its own key, or a hash of its input. */
export function uniqueKey(task: string, layer: UniqueLayer, input: unknown): string {
  const own = ownKey(layer, input)
  return `${task}:${own.length > longestKey ? `sha256-${hash(own)}` : own}`
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
