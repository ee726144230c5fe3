/** One request on its way: what a route gets of it, and the signal that ends it early. */
import { withDigits } from '../core/digits.ts'
import type { Tokens } from './access/tokens.ts'
import type { ApiRequest } from './api-request.ts'
import type { Caller } from './caller.ts'
import type { Managed } from './managed.ts'
import type { OpenCalls } from './open-calls.ts'
import type { RouteCall } from './route.ts'

export interface CallFacts extends Omit<RouteCall, 'signal' | 'digits'> {
  /** The body as it came; null where there is none. */
  readonly text: string | null
}

export class Call implements RouteCall {
  readonly errand: Managed
  readonly tokens: Tokens
  readonly sessions: RouteCall['sessions']
  readonly caller: Caller
  readonly params: RouteCall['params']
  readonly query: RouteCall['query']
  readonly body: unknown
  readonly request: ApiRequest
  readonly #text: string | null
  readonly #open: OpenCalls
  #aborter: AbortController | null = null

  constructor(facts: CallFacts, open: OpenCalls) {
    this.errand = facts.errand
    this.tokens = facts.tokens
    this.sessions = facts.sessions
    this.caller = facts.caller
    this.params = facts.params
    this.query = facts.query
    this.body = facts.body
    this.#text = facts.text
    this.request = facts.request
    this.#open = open
  }

  get digits(): unknown {
    return this.#text === null ? this.body : withDigits(this.#text, this.body)
  }

  /** Made when a route asks for it: most return too soon to need one. */
  get signal(): AbortSignal {
    if (this.#aborter === null) {
      this.#aborter = new AbortController()
      const { signal } = this.request
      if (signal.aborted) this.abort()
      else signal.addEventListener('abort', this.#gone, { once: true })
      this.#open.follow(this)
    }
    return this.#aborter.signal
  }

  /** Whether the route waits, or sends its answer bit by bit. */
  get isFollowed(): boolean {
    return this.#aborter !== null
  }

  readonly abort = (): void => this.#aborter?.abort()

  /** The answer is complete. */
  end(): void {
    if (this.#aborter === null) return
    this.request.signal.removeEventListener('abort', this.#gone)
    this.#open.leave(this)
  }

  readonly #gone = (): void => this.abort()
}
