/**
 * Sessions of the dashboard. A browser gets a cookie with a random id; the store keeps the id's hash,
 * the token that it stands for, and when it ends. A session whose token is revoked is over with it.
 */
import { randomBytes } from 'node:crypto'
import { parse, serialize } from 'cookie'
import { ErrandError } from '../../core/errors.ts'
import { answered } from '../../loops/call-deadline.ts'
import type { Ticks } from '../../loops/time.ts'
import type { Store } from '../../store/store.ts'
import type { ApiRequest } from '../api-request.ts'
import { hashOf } from './tokens.ts'

/** Records of sessions; like those of tokens, nobody reaches them through the store. */
export const sessionPrefix = 'session:'

const cookieName = 'errand_session'

/** A session ends so long after its sign-in. */
const lastsMs = 12 * 3_600_000
const mostSessions = 1_000

/** Milliseconds since what is known was asked for. */
const ages = {
  /** From then on a session that is not known yet is looked for anew. */
  doubtMs: 100,
  /** From then on all are read anew. */
  trustMs: 1_000,
} as const

interface KeptSession {
  /** The id of its token. */
  readonly token: string
  /** By the store's clock. */
  readonly until: number
}

interface SessionBookOptions {
  readonly store: Store
  readonly ticks: Ticks
  /** Where the manager is mounted. */
  readonly basePath: string
}

export class SessionBook {
  readonly #options: SessionBookOptions
  #known: ReadonlyMap<string, KeptSession> = new Map()
  #askedAt = -Infinity
  #reading: Promise<ReadonlyMap<string, KeptSession>> | null = null

  constructor(options: SessionBookOptions) {
    this.#options = options
  }

  /** The id of the token that a request's session stands for; null without a session. */
  async tokenOf(request: ApiRequest): Promise<string | null> {
    const key = keyOf(request)
    if (key === null) return null
    const { store, ticks } = this.#options
    const ageMs = ticks() - this.#askedAt
    const isOld = ageMs >= ages.trustMs || (!this.#known.has(key) && ageMs >= ages.doubtMs)
    const known = isOld ? await (this.#reading ??= this.#read()) : this.#known
    const session = known.get(key)
    return session === undefined || session.until <= store.clock.now() ? null : session.token
  }

  /** Opens a session that stands for a token; the cookie that carries it. */
  async open(request: ApiRequest, token: string): Promise<string> {
    const { store } = this.#options
    const sessions = await this.#read()
    const now = store.clock.now()
    const over = [...sessions].filter(([, { until }]) => until <= now).map(([key]) => key)
    if (sessions.size - over.length >= mostSessions)
      throw new ErrandError('overloaded', `${mostSessions} people are signed in: sign out first.`)
    const id = randomBytes(32).toString('hex')
    const session: KeptSession = { token, until: now + lastsMs }
    const writes = [
      { key: sessionPrefix + hashOf(id), text: JSON.stringify(session) },
      ...over.map((key) => ({ key, text: null })),
    ]
    await answered(store.clock, store.putRecords(writes))
    this.#askedAt = -Infinity
    return this.#cookie(request, id, lastsMs / 1_000)
  }

  /** Ends the session of a request; the cookie that takes its own away. */
  async end(request: ApiRequest): Promise<string> {
    const { store } = this.#options
    const key = keyOf(request)
    if (key !== null) await answered(store.clock, store.putRecords([{ key, text: null }]))
    this.#askedAt = -Infinity
    return this.#cookie(request, '', 0)
  }

  async #read(): Promise<ReadonlyMap<string, KeptSession>> {
    const { store, ticks } = this.#options
    const askedAt = ticks()
    try {
      const query = { prefix: sessionPrefix, after: null, limit: mostSessions + 100 }
      const records = await answered(store.clock, store.listRecords(query))
      const sessions = records.flatMap(({ key, text }) => {
        const session = readSession(text)
        return session === null ? [] : [[key, session] as const]
      })
      this.#known = new Map(sessions)
      this.#askedAt = askedAt
      return this.#known
    } finally {
      this.#reading = null
    }
  }

  #cookie(request: ApiRequest, value: string, maxAge: number): string {
    const isSecure =
      request.url.startsWith('https:') || request.headers.get('x-forwarded-proto') === 'https'
    return serialize(cookieName, value, {
      path: this.#options.basePath === '' ? '/' : this.#options.basePath,
      httpOnly: true,
      sameSite: 'strict',
      secure: isSecure,
      maxAge,
    })
  }
}

/** The record of the session that a request names; null where it names none. */
function keyOf({ headers }: ApiRequest): string | null {
  const id = parse(headers.get('cookie') ?? '')[cookieName]
  return id !== undefined && /^[0-9a-f]{64}$/.test(id) ? sessionPrefix + hashOf(id) : null
}

function readSession(text: string): KeptSession | null {
  try {
    const { token, until } = JSON.parse(text) as Partial<Record<keyof KeptSession, unknown>>
    return typeof token === 'string' && typeof until === 'number' ? { token, until } : null
  } catch {
    return null
  }
}
