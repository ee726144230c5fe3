/**
 * Makes the calls of a store at a manager, and repeats those whose answer was lost, as `calls.ts` says they may be.
 *
 * A call is tried until its deadline, under one id. A try whose request cannot have arrived is repeated whatever the call. Of one
 * that may have arrived, a manager that has seen it gives the answer, or waits for it with the repeat. At another manager what
 * reads, or leaves the same when it is done again, is done anew; what adds ends as `unknown-outcome`.
 */
import { randomUUID } from 'node:crypto'
import { ErrandError } from '../../core/errors.ts'
import { formatMs } from '../../core/duration.ts'
import { clearTimeout, performance, setTimeout } from '../../core/timers.ts'
import { version } from '../../core/version.ts'
import { protocol } from '../../store/protocol.ts'
import { calls, type CallName } from '../../store/calls.ts'
import { NoAnswer, type Channel, type Patience, type Reply } from './channel.ts'
import { read, type Verdict } from './problems.ts'

/**
 * A way that is silent for so long is left for a new one. A manager that is slow loses nothing by it: the next try waits for what the
 * first has begun.
 */
const silentMs = 4_000

/** Pauses between two tries, doubled, each drawn between half and all of it. */
const pauses = { firstMs: 50, mostMs: 1_000 } as const

/** A manager that cannot be reached for so long is away: the caller has a pace of its own. */
const unreachableMs = 3_000

export interface ConnectionOptions {
  readonly channel: Channel
  readonly location: string
  readonly token: string | undefined
  readonly callDeadlineMs: number
  /** How long a connection may be silent; 4 s. */
  readonly silentMs?: number
}

export class Connection {
  readonly location: string
  /** Sent with every request. */
  readonly headers: Readonly<Record<string, string>>
  readonly #channel: Channel
  readonly #deadlineMs: number
  readonly #silentMs: number
  readonly #closed = new AbortController()

  constructor(options: ConnectionOptions) {
    const { channel, location, token, callDeadlineMs } = options
    this.location = location
    this.#channel = channel
    this.#deadlineMs = callDeadlineMs
    this.#silentMs = options.silentMs ?? silentMs
    this.headers = {
      'errand-version': version,
      'errand-protocol': String(protocol.current),
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    }
  }

  get isClosed(): boolean {
    return this.#closed.signal.aborted
  }

  /**
   * Rejects with the error that the manager answers, with `store-unavailable` and `unknown-outcome` when it does not, and with
   * `closed`. `firstTryMs` is for calls that must be repeated sooner than others.
   */
  call(name: CallName, args: readonly unknown[], firstTryMs?: number): Promise<unknown> {
    return this.#ask(`/v1/store/${name}`, args, {
      callId: randomUUID(),
      firstTryMs: Math.min(firstTryMs ?? this.#silentMs, this.#silentMs),
      lost:
        name === 'insert' || calls[name].repeat === 'adds'
          ? 'unknown-outcome'
          : 'store-unavailable',
    })
  }

  /** Asks for what is no call of the contract: what the manager's store is, its warnings. */
  ask(path: string, args: readonly unknown[]): Promise<unknown> {
    const how = {
      callId: randomUUID(),
      firstTryMs: this.#silentMs,
      lost: 'store-unavailable',
    } as const
    return this.#ask(path, args, how)
  }

  /** Calls that are under way reject at once. */
  close(): void {
    this.#closed.abort()
    this.#channel.close()
  }

  async #ask(path: string, args: readonly unknown[], how: How): Promise<unknown> {
    const until = performance.now() + this.#deadlineMs
    const body = JSON.stringify(args)
    let unreachableSince = Infinity
    let mayBeDone = false
    let doubt: ErrandError | null = null
    for (let tries = 0; ; tries++) {
      const leftMs = until - performance.now()
      if (this.isClosed || leftMs <= 0)
        throw this.#gaveUp(how, mayBeDone, doubt, this.#deadlineMs - leftMs)
      const verdict = await this.#try(path, body, how, {
        isRepeat: mayBeDone,
        withinMs: leftMs,
        silentMs: Math.min(how.firstTryMs * 2 ** tries, this.#silentMs),
      })
      switch (verdict.kind) {
        case 'answer':
          return verdict.value
        case 'error':
          throw verdict.error
        case 'doubt':
          mayBeDone = true
          unreachableSince = Infinity
          doubt = verdict.error
          break
        case 'later':
          doubt = verdict.error
          // Not before it, and not all at once after it.
          await this.#wait(
            Math.min(verdict.afterMs * (1 + Math.random() / 4), until - performance.now()),
          )
          break
        case 'unreachable':
          doubt = verdict.error
          unreachableSince = Math.min(unreachableSince, performance.now())
          if (performance.now() - unreachableSince > unreachableMs)
            throw this.#gaveUp(how, mayBeDone, doubt, this.#deadlineMs - leftMs)
      }
      const pauseMs = Math.min(pauses.firstMs * 2 ** Math.min(tries, 10), pauses.mostMs)
      await this.#wait(pauseMs * (0.5 + Math.random() / 2))
    }
  }

  async #try(
    path: string,
    body: string,
    { callId }: How,
    { isRepeat, ...patience }: Patience & { readonly isRepeat: boolean },
  ): Promise<Verdict | { readonly kind: 'unreachable'; readonly error: ErrandError }> {
    let reply: Reply
    try {
      reply = await this.#channel.send(
        {
          method: 'POST',
          path,
          headers: {
            'content-type': 'application/json',
            ...this.headers,
            'errand-call': callId,
            ...(isRepeat ? { 'errand-repeat': 'true' } : {}),
          },
          body,
        },
        patience,
      )
    } catch (cause) {
      if (!(cause instanceof NoAnswer)) throw cause
      const error = new ErrandError(
        'store-unavailable',
        `${this.location} does not answer (${cause.message}). Is the manager running, and can this machine reach it?`,
        { cause },
      )
      return { kind: cause.arrived ? 'doubt' : 'unreachable', error }
    }
    return read(reply, this.location)
  }

  #gaveUp(
    { lost }: How,
    mayBeDone: boolean,
    doubt: ErrandError | null,
    triedMs: number,
  ): ErrandError {
    if (mayBeDone && lost === 'unknown-outcome') {
      const why = this.isClosed
        ? `The store at ${this.location} was closed before it answered`
        : `${this.location} has not answered for ${formatMs(Math.round(triedMs))}`
      return new ErrandError(
        'unknown-outcome',
        `${why}, so it is not known whether the call was carried out.`,
        { cause: doubt },
      )
    }
    if (this.isClosed) return new ErrandError('closed', `The store at ${this.location} is closed.`)
    return doubt ?? new ErrandError('store-unavailable', `${this.location} does not answer.`)
  }

  /** Resolves early when the store is closed. Keeps the process alive, for a caller waits. */
  #wait(ms: number): Promise<void> {
    const { signal } = this.#closed
    return new Promise((resolve) => {
      const over = (): void => {
        clearTimeout(timer)
        signal.removeEventListener('abort', over)
        resolve()
      }
      const timer = setTimeout(over, Math.max(0, ms))
      signal.addEventListener('abort', over, { once: true })
      if (signal.aborted) over()
    })
  }
}

interface How {
  /** Names the call in all its tries. */
  readonly callId: string
  readonly firstTryMs: number
  /** What a caller must think that never gets an answer. */
  readonly lost: 'unknown-outcome' | 'store-unavailable'
}
