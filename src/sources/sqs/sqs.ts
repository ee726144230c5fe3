/** Amazon SQS as a source of jobs. */
import { toMs, type Duration } from '../../core/duration.ts'
import { ErrandError } from '../../core/errors.ts'
import { refuseUnknownKeys } from '../../core/option-keys.ts'
import { readList, readText, refuseValue } from '../../core/read.ts'
import { readSource, sourceOptionKeys } from '../settings.ts'
import type { Source, SourceOptions } from '../source.ts'
import { Api, type ClientConfig } from './api.ts'
import { SqsConnection } from './connection.ts'
import { findQueue } from './queue-place.ts'

/** What `sqs()` takes. */
export interface SqsOptions extends SourceOptions {
  /** Names or URLs of the queues, which exist. */
  readonly queues: readonly string[]
  /** For the SDK's client: region, credentials, endpoint. Default: from the environment. */
  readonly client?: ClientConfig
  /** For how long a message stays hidden from others when this process dies. 1 s to 12 h, default 30 s. */
  readonly visibility?: Duration
  /** Stands in health, events and identities. Default `'sqs'`; needed when an app has two. */
  readonly name?: string
}

const defaults = { name: 'sqs', visibilityMs: 30_000 } as const
const bounds = { leastMs: 1_000, mostMs: 12 * 3_600_000 } as const
const ownKeys = ['queues', 'client', 'visibility', 'name'] as const

/**
 * Makes a source of the messages of SQS queues, for `createErrand({ sources })`. Opens nothing. Throws `invalid-option`; a
 * missing `@aws-sdk/client-sqs` shows when it connects.
 *
 * @example
 * createErrand({ store, tasks, sources: [sqs({ queues: ['etl'], client: { region: 'eu-west-1' } })] })
 */
export function sqs(options: SqsOptions): Source {
  const where = 'sqs()'
  refuseUnknownKeys(options, [...ownKeys, ...sourceOptionKeys], where)
  const { queues, client = {}, visibility = defaults.visibilityMs, ...named } = options
  const { name = defaults.name, ...rest } = named
  const names = readQueues(queues, `${where}.queues`)
  readClient(client, `${where}.client`)
  const hideMs = toMs(visibility, `${where}.visibility`)
  if (hideMs < bounds.leastMs || hideMs > bounds.mostMs)
    refuseValue(`${where}.visibility`, 'a duration from 1 s to 12 h', visibility)
  const source: Source = {
    ...rest,
    name,
    async connect(signal) {
      const api = await Api.open(client)
      try {
        const places = await Promise.all(names.map((one) => findQueue(api, one, signal)))
        return new SqsConnection(api, places, { hideMs, knowsByBody: rest.identity === 'hash' })
      } catch (error) {
        api.close()
        throw error
      }
    },
  }
  readSource(source, where)
  return source
}

function readQueues(queues: unknown, where: string): readonly string[] {
  const list = readList(queues as readonly string[], where, 'names or URLs of queues')
  for (const [index, one] of list.entries()) readText(one, `${where}[${index}]`)
  if (list.length > 0 && new Set(list).size === list.length) return list
  throw new ErrandError('invalid-option', `${where} must name at least one queue, each once.`)
}

/** Checks what is handed to the SDK, which reads it. */
export function readClient(client: unknown, where: string): void {
  if (typeof client === 'object' && client !== null && !Array.isArray(client)) return
  throw new ErrandError(
    'invalid-option',
    `${where} takes what new SQSClient() takes, such as { region: 'eu-west-1' }.`,
  )
}
