/**
 * The tokens of the HTTP API. Each is shown once, when it is made; the store keeps a hash of it, in a
 * record of its own. A token is 256 random bits, so its hash needs no salt and no slow function.
 */
import { hash, randomBytes } from 'node:crypto'
import { ErrandError } from '../../core/errors.ts'
import { nearest } from '../../core/nearest.ts'
import { refuseUnknownKeys } from '../../core/option-keys.ts'
import { readList, readQueueName, readText } from '../../core/read.ts'
import { shownValue } from '../../core/shown.ts'
import { checkName } from '../../core/text.ts'
import { answered } from '../../loops/call-deadline.ts'
import type { Store } from '../../store/store.ts'
import { scopes as knownScopes, type Scope } from '../caller.ts'

/** Records of tokens. Workers do not reach them: see `record-guard.ts`. */
export const tokenPrefix = 'token:'

/** So many fit into one page of records, and into the memory of a manager. */
const mostTokens = 1_000

/** A token begins so, for scanners that look for secrets; then come its id and its secret. */
const form = /^errand_([0-9a-f]{12})_[0-9a-f]{64}$/

/** What is known of a token; the token itself is not. */
export interface TokenInfo {
  readonly id: string
  /** What it was called when it was made; null for nothing. */
  readonly name: string | null
  readonly scopes: readonly Scope[]
  /** The queues that it is for; null for all. */
  readonly queues: readonly string[] | null
  readonly createdAt: Date
}

/** A token that was just made. `token` is shown this once. */
export interface NewToken extends TokenInfo {
  readonly token: string
}

export interface TokenOptions {
  /** What its bearer may do: one scope or more. */
  readonly scopes: readonly Scope[]
  /** Only on these queues; default all. */
  readonly queues?: readonly string[]
  /** To distinguish it from others. */
  readonly name?: string
}

export interface Tokens {
  /** All tokens, the oldest first. */
  list(): Promise<readonly TokenInfo[]>
  /** Makes a token. Rejects with `invalid-option`, and `overloaded` when there are 1,000. */
  create(options: TokenOptions): Promise<NewToken>
  /** Ends a token, at every manager within two seconds. */
  revoke(id: string): Promise<'revoked' | 'missing'>
}

/** A token as the store keeps it. */
export interface KeptToken extends TokenInfo {
  /** SHA-256 of the token, in hexadecimal digits. */
  readonly hash: string
}

/**
 * The tokens in an app's store, for code that makes them itself.
 *
 * @example
 * const { token } = await tokens(errand).create({ scopes: ['enqueue'], queues: ['mail'] })
 */
export function tokens({ store }: { readonly store: Store }): Tokens {
  return {
    async list() {
      const kept = [...(await readTokens(store)).values()].filter((one) => one !== null)
      return kept
        .map(({ hash: _hash, ...info }) => info)
        .toSorted((a, b) => a.createdAt.getTime() - b.createdAt.getTime())
    },
    async create(options) {
      const { scopes, queues, name } = readTokenOptions(options)
      if ((await readTokens(store)).size >= mostTokens)
        throw new ErrandError('overloaded', `There are ${mostTokens} tokens: revoke some first.`)
      const id = randomBytes(6).toString('hex')
      const token = `errand_${id}_${randomBytes(32).toString('hex')}`
      const createdAt = new Date(store.clock.now())
      const kept = { hash: hashOf(token), name, scopes, queues, createdAt: createdAt.getTime() }
      const write = { key: tokenPrefix + id, text: JSON.stringify(kept), if: null }
      const [answer] = await answered(store.clock, store.putRecords([write]))
      if (answer !== 'put') throw new ErrandError('store-busy', 'Make the token once more.')
      return { id, token, name, scopes, queues, createdAt }
    },
    async revoke(id) {
      const key = tokenPrefix + readText(id, 'The id of a token')
      const [text = null] = await answered(store.clock, store.getRecords([key]))
      if (text === null) return 'missing'
      await answered(store.clock, store.putRecords([{ key, text: null }]))
      return 'revoked'
    },
  }
}

/** The id that a token names; null for what is no token. */
export function idOf(token: string): string | null {
  return form.exec(token)?.[1] ?? null
}

export function hashOf(token: string): string {
  return hash('sha256', token)
}

/** All tokens by id; null for one that this version of Errand cannot read, and so lets nobody in. */
export async function readTokens(store: Store): Promise<ReadonlyMap<string, KeptToken | null>> {
  const query = { prefix: tokenPrefix, after: null, limit: mostTokens }
  const records = await answered(store.clock, store.listRecords(query))
  return new Map(
    records.map(({ key, text }) => {
      const id = key.slice(tokenPrefix.length)
      return [id, readToken(id, text)]
    }),
  )
}

function readToken(id: string, text: string): KeptToken | null {
  try {
    const kept = JSON.parse(text) as Partial<Record<keyof KeptToken, unknown>>
    const { hash, name = null, scopes, queues = null, createdAt } = kept
    if (typeof hash !== 'string' || hash.length !== 64) return null
    if (!isTexts(scopes) || !(queues === null || isTexts(queues))) return null
    if (!(name === null || typeof name === 'string') || typeof createdAt !== 'number') return null
    const known = knownScopes.filter((scope) => scopes.includes(scope))
    return { id, hash, name, scopes: known, queues, createdAt: new Date(createdAt) }
  } catch {
    return null
  }
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((one) => typeof one === 'string')
}

/** Checks what a token is to be. Throws `invalid-option`. */
function readTokenOptions(options: TokenOptions): Pick<TokenInfo, 'scopes' | 'queues' | 'name'> {
  refuseUnknownKeys(options, ['scopes', 'queues', 'name'], 'A token')
  const given = readList(options.scopes, "A token's scopes", knownScopes.join(', '))
  for (const scope of given) if (!knownScopes.includes(scope)) throw unknownScope(scope)
  if (given.length === 0)
    throw new ErrandError('invalid-option', `A token needs a scope: ${knownScopes.join(', ')}.`)
  const scopes = knownScopes.filter((scope) => given.includes(scope))
  const name = options.name ?? null
  if (name !== null) checkName(name, "A token's name")
  if (options.queues === undefined) return { scopes, queues: null, name }
  const queues = readList(options.queues, "A token's queues", 'names of queues')
  for (const queue of queues) readQueueName(queue, "Each of a token's queues")
  if (queues.length === 0)
    throw new ErrandError('invalid-option', 'A token for no queue is of no use: leave queues out.')
  if (scopes.includes('admin'))
    throw new ErrandError(
      'invalid-option',
      'A token with the scope admin makes tokens for any queue, so it takes no queues.',
    )
  return { scopes, queues: [...new Set(queues)], name }
}

function unknownScope(scope: unknown): ErrandError {
  const meant = typeof scope === 'string' ? nearest(scope, knownScopes) : null
  const advice = meant === null ? `Scopes are ${knownScopes.join(', ')}.` : `Did you mean ${meant}?`
  return new ErrandError('invalid-option', `No scope is called ${shownValue(scope)}. ${advice}`)
}
