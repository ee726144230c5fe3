/** Says who makes a request, or why it may not come in. */
import { readList, readQueueName } from '../../core/read.ts'
import { ErrandError } from '../../core/errors.ts'
import { webRequest, type ApiRequest } from '../api-request.ts'
import { everybody, scopes as knownScopes, type Caller, type Scope } from '../caller.ts'
import { Problem } from '../problem.ts'
import { whyForeign, whyNotLocal, type Peer } from './local.ts'
import type { SessionBook } from './sessions.ts'
import type { TokenBook } from './token-book.ts'
import type { KeptToken } from './tokens.ts'

/** What a function of the user's own says of a caller. */
export interface Granted {
  readonly scopes: readonly Scope[]
  /** Only on these queues; default all. */
  readonly queues?: readonly string[]
  /** Who it is, for rate limits, idempotency keys and the log. */
  readonly id?: string
}

/** Looks at a request, such as at its session, and says what its caller may do; null asks for a token. */
export type Authorize = (request: Request) => Granted | null | Promise<Granted | null>

/**
 * `tokens`: a token, or a program of this machine while none exists. `open`: everyone who reaches the
 * manager may do everything, because something before it decides. A function decides by itself.
 */
export type AccessRule = 'tokens' | 'open' | Authorize

/** Stands before an id that such a function gave, so that it is never that of a token. */
const grantedMark = 'as:'

const challenge = { 'www-authenticate': 'Bearer realm="errand"' }

export class Access {
  readonly #book: TokenBook
  readonly #sessions: SessionBook
  readonly #rule: AccessRule
  readonly #callers = new WeakMap<KeptToken, Caller>()

  constructor(book: TokenBook, sessions: SessionBook, rule: AccessRule) {
    this.#book = book
    this.#sessions = sessions
    this.#rule = rule
  }

  /** Who calls. Throws, or rejects with, a problem for a request that may not come in, and errors of the store. */
  identify(request: ApiRequest, peer: Peer | null): Caller | Promise<Caller> {
    if (this.#rule !== 'tokens') return this.#byRule(request, this.#rule)
    const given = request.headers.get('authorization')
    return given === null ? this.#withoutToken(request, peer) : this.#bearer(given)
  }

  /** Who presents a token. Rejects with a problem for one that is unknown. */
  async bearerOf(token: string): Promise<Caller> {
    return this.#callerWith(await this.#book.find(token))
  }

  async #byRule(request: ApiRequest, rule: 'open' | Authorize): Promise<Caller> {
    const granted = rule === 'open' ? everybody : await rule(webRequest(request))
    if (granted !== null && granted !== undefined) {
      refuseForeign(request)
      return granted === everybody ? everybody : callerOf(granted as Granted)
    }
    const given = request.headers.get('authorization')
    if (given !== null) return this.#bearer(given)
    const caller = await this.#signedIn(request)
    if (caller !== null) return caller
    throw tokenNeeded()
  }

  async #withoutToken(request: ApiRequest, peer: Peer | null): Promise<Caller> {
    if (await this.#book.isEmpty()) return withoutToken(request, peer)
    const caller = await this.#signedIn(request)
    if (caller !== null) return caller
    throw tokenNeeded()
  }

  /** Who has signed in; null without a session. */
  async #signedIn(request: ApiRequest): Promise<Caller | null> {
    const token = await this.#sessions.tokenOf(request)
    if (token === null) return null
    refuseForeign(request)
    const kept = await this.#book.get(token)
    return kept === null ? null : this.#callerWith(kept)
  }

  /** Whether a caller may go on: its token was not revoked. */
  async stillKnown({ token }: Caller): Promise<boolean> {
    return token === null || token.startsWith(grantedMark) || this.#book.has(token)
  }

  #bearer(given: string): Caller | Promise<Caller> {
    const token = /^bearer +(\S+) *$/i.exec(given)?.[1]
    if (token === undefined) throw unauthorized('Authorization must be Bearer and a token.')
    const found = this.#book.find(token)
    return found instanceof Promise
      ? found.then((kept) => this.#callerWith(kept))
      : this.#callerWith(found)
  }

  #callerWith(kept: KeptToken | null): Caller {
    if (kept === null) throw unauthorized('The token is unknown or revoked.')
    let caller = this.#callers.get(kept)
    if (caller === undefined) {
      const { id, scopes, queues } = kept
      caller = { token: id, scopes: new Set(scopes), queues: queues && new Set(queues) }
      this.#callers.set(kept, caller)
    }
    return caller
  }
}

function tokenNeeded(): Problem {
  return unauthorized('This needs a token: Authorization: Bearer errand_…')
}

/** While no token exists: programs of this machine, and nobody else. */
function withoutToken(request: ApiRequest, peer: Peer | null): Caller {
  if (peer === null)
    throw unauthorized(
      'No token exists yet, and where this request comes from is not known here. Make a token with errand tokens create, or give manager() an access rule.',
    )
  const why = whyNotLocal(request, peer)
  if (why === null) return everybody
  throw unauthorized(
    `No token exists yet, so only programs of this machine are let in, and of this request ${why}. Make a token with errand tokens create.`,
  )
}

/** What a browser sends along by itself, such as a cookie, must not work for pages of others. */
export function refuseForeign({ headers }: ApiRequest): void {
  const why = whyForeign(headers, 'anywhere')
  if (why !== null) throw new Problem('forbidden', `The request is refused: ${why}.`)
}

function unauthorized(message: string): Problem {
  return new Problem('unauthorized', message, { headers: challenge })
}

function callerOf(granted: Granted): Caller {
  const where = 'What access() of manager() returned'
  const scopes = readList(granted.scopes, `${where}, scopes,`, knownScopes.join(', '))
  for (const scope of scopes) {
    if (!knownScopes.includes(scope))
      throw new ErrandError('invalid-option', `${where} has a scope that is unknown.`)
  }
  const { queues, id } = granted
  for (const queue of queues ?? []) readQueueName(queue, `${where}, each of queues,`)
  return {
    token: id === undefined ? null : grantedMark + id,
    scopes: new Set(scopes),
    queues: queues === undefined ? null : new Set(queues),
  }
}
