/** From a unique option to the rule that a store upholds. */
import { createHash } from 'node:crypto'
import { longOf, plainOf } from './digits.ts'
import { toMs } from './duration.ts'
import { ErrandError } from './errors.ts'
import { readStates, type JobState } from './job.ts'
import { canonicalJson } from './json.ts'
import { refuseUnknownKeys } from './option-keys.ts'
import type { Unique } from './options.ts'
import { isPlain } from './text.ts'
import { readChoice, readText, refuseValue } from './read.ts'

/** A unique option with its times and states read; the key still depends on the input. */
export interface UniqueLayer {
  readonly key: string | ((input: never) => string) | null
  readonly during: readonly JobState[]
  readonly forMs: number | null
  readonly onConflict: 'skip' | 'replace'
  readonly maxWaitMs: number | null
}

/**
 * In which states a key is held when nothing says so. A job that runs still stands for its input, or one that fails again and again
 * would come back beside others of the same. What is to replace a job must not be dropped because that job runs.
 */
const defaultDuring: Readonly<Record<UniqueLayer['onConflict'], readonly JobState[]>> = {
  skip: ['blocked', 'scheduled', 'ready', 'running'],
  replace: ['blocked', 'scheduled', 'ready'],
}

/** Longest key that is stored as it is, in bytes of UTF-8; a longer one is stored as its hash. */
const longestKeyBytes = 200

/** Reads a unique option; null for none. Throws `invalid-option`. */
export function normaliseUnique(
  unique: Unique | undefined,
  where: string,
): UniqueLayer | null | undefined {
  if (unique === undefined) return undefined
  if (unique === false) return null
  if (unique === true) return normaliseUnique({}, where)
  if (typeof unique !== 'object' || unique === null)
    refuseValue(where, 'true, false, or an object such as { key: (input) => input.id }', unique)
  refuseUnknownKeys(unique, ['key', 'during', 'for', 'onConflict', 'maxWait'], where)
  const { key, maxWait, onConflict: given = 'skip' } = unique
  const onConflict = readChoice(given, ['skip', 'replace'], `${where}.onConflict`)
  const { during = defaultDuring[onConflict] } = unique
  if (key !== undefined && typeof key !== 'function') readText(key, `${where}.key`)
  const states = readStates(during, `${where}.during`)
  if (states.length === 0 && unique.for === undefined) {
    throw new ErrandError(
      'invalid-option',
      `${where}.during lists no state, so that its key is never held: list one, or leave it out.`,
    )
  }
  if (maxWait !== undefined && onConflict !== 'replace') {
    throw new ErrandError(
      'invalid-option',
      `${where}.maxWait bounds how long a job is put off by those that replace it: it needs onConflict: 'replace'.`,
    )
  }
  return {
    key: key ?? null,
    during: states,
    forMs: unique.for === undefined ? null : toMs(unique.for, `${where}.for`),
    onConflict,
    maxWaitMs: maxWait === undefined ? null : toMs(maxWait, `${where}.maxWait`),
  }
}

/** Whose name stands before a task's keys: its first alias, so that a task which was renamed still meets the jobs of its old name. */
export function keyName(task: {
  readonly name: string
  readonly aliases: readonly string[]
}): string {
  return task.aliases[0] ?? task.name
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
  if (layer.key === null) return `sha256-${hash(canonicalJson(longOf(input)))}`
  const key = typeof layer.key === 'function' ? layer.key(plainOf(input) as never) : layer.key
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
