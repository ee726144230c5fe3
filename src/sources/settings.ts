/** Reads what `createErrand({ sources })` is given. */
import { readCount } from '../app/app.ts'
import { toMs } from '../core/duration.ts'
import { ErrandError } from '../core/errors.ts'
import { refuseUnknownKeys } from '../core/option-keys.ts'
import { readChoice, readList, readShape } from '../core/read.ts'
import { checkName } from '../core/text.ts'
import type { SourceRoom, Source } from './source.ts'

/** Defaults of a source. */
const sourceDefaults = {
  dedupeMs: 24 * 3_600_000,
  identity: 'message',
  prefetchMessages: 2_000,
  prefetchBytes: 32 * 1_024 * 1_024,
} as const

/** The options that every source takes, for those that read them with their own. */
export const sourceOptionKeys: readonly string[] = ['dedupe', 'identity', 'prefetch']

/** A source with its options read. */
export interface SourceSettings {
  readonly source: Source
  readonly name: string
  readonly dedupeMs: number
  readonly identity: 'message' | 'hash'
  readonly prefetch: Required<SourceRoom>
}

/** Reads sources. Throws `invalid-option` for what is none, and for two of one name. */
export function readSources(sources: readonly Source[], where: string): readonly SourceSettings[] {
  const list = readList(sources, where, 'sources')
  const read = list.map((source, index) => readSource(source, `${where}[${index}]`))
  for (const [index, { name }] of read.entries()) {
    if (read.findIndex((one) => one.name === name) === index) continue
    throw new ErrandError(
      'invalid-option',
      `${where} has two sources called ${name}: give one of them another \`name\`.`,
    )
  }
  return read
}

/** Reads one source. Throws `invalid-option`. */
export function readSource(source: Source, where: string): SourceSettings {
  readShape(source, ['connect'], where, 'a source, such as rabbitmq({ … }) from errand/rabbitmq')
  const { name, dedupe = sourceDefaults.dedupeMs, identity = sourceDefaults.identity } = source
  checkName(name, `${where}.name`)
  return {
    source,
    name,
    dedupeMs: toMs(dedupe, `${where}.dedupe`),
    identity: readChoice(identity, ['message', 'hash'], `${where}.identity`),
    prefetch: readPrefetch(source.prefetch, `${where}.prefetch`),
  }
}

function readPrefetch(prefetch: SourceRoom | undefined, where: string): Required<SourceRoom> {
  if (prefetch !== undefined) refuseUnknownKeys(prefetch, ['messages', 'bytes'], where)
  const { messages = sourceDefaults.prefetchMessages, bytes = sourceDefaults.prefetchBytes } =
    prefetch ?? {}
  return {
    messages: readCount(messages, `${where}.messages`),
    bytes: readCount(bytes, `${where}.bytes`),
  }
}
