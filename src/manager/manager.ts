/** The HTTP face of an app: a handler of web requests, for a server of Errand's own or anybody's. */
import { readCount } from '../app/app.ts'
import { jobsWithDigits } from '../client/jobs-with-digits.ts'
import { clientOf } from '../client/own-client.ts'
import { toMs, type Duration } from '../core/duration.ts'
import { ErrandError } from '../core/errors.ts'
import { refuseUnknownKeys } from '../core/option-keys.ts'
import { shownValue } from '../core/shown.ts'
import { stopDefaults } from '../loops/stop-defaults.ts'
import { ticksOf } from '../loops/time.ts'
import { hubOf } from '../observe/hub-of.ts'
import { Access, refuseForeign, type AccessRule } from './access/access.ts'
import { RateLimiter, type RateLimit } from './access/rate-limit.ts'
import { SessionBook } from './access/sessions.ts'
import { withoutTokens } from './access/record-guard.ts'
import { TokenBook } from './access/token-book.ts'
import { tokens as tokensOf, type Tokens } from './access/tokens.ts'
import { BodyReader } from './body.ts'
import { createDoor } from './door.ts'
import { createHandler } from './handler.ts'
import type { Managed } from './managed.ts'
import { nodeListener, type NodeListener } from './node-listener.ts'
import { OpenCalls } from './open-calls.ts'
import { Redaction } from './redaction.ts'
import type { Route } from './route.ts'
import { routes, routesOf } from './routes/index.ts'
import { plainOf } from './text-response.ts'

export interface ManagerOptions {
  /** The most bytes of a body. Default 8 MiB. */
  readonly maxBody?: number
  /** The most requests at once, those that wait included. Default 10,000; beyond that 503. */
  readonly maxRequests?: number
  /**
   * Where it is mounted, such as `/api/errand`: frameworks that hand on the whole path need it, and
   * the paths in answers begin with it. Default: at the root.
   */
  readonly basePath?: string
  /**
   * Who may call: `'tokens'` (default; while no token exists, programs of this machine need none),
   * `'open'` for everyone, or a function of the request.
   */
  readonly access?: AccessRule
  /** How many requests each token may make, at this manager. Default: without limit. */
  readonly rateLimit?: { readonly requests: number; readonly per: Duration }
  /**
   * How long the OpenAPI document shows a task that no worker serves any more; its jobs are taken all
   * the same. Default 24 h; at least 3 h, for workers say each hour what they serve.
   */
  readonly tasksShownFor?: Duration
  /**
   * Values that are not shown to anybody but workers, such as `['input.password']`: neither where they
   * are, nor in errors, log lines, progress and events; and that cannot be searched for. Default: none.
   */
  readonly redact?: readonly string[]
}

/** How long a stop may take. */
export interface ManagerStopOptions {
  /** How long requests may go on. Default 25 s. */
  readonly grace?: Duration
}

export interface Manager {
  /** Answers a request, wherever it came in. Never rejects. */
  readonly fetch: (request: Request) => Promise<Response>
  /** The same for servers of Node, such as Express, Fastify and `node:http`; it knows who is at the other end. */
  readonly listener: NodeListener
  /**
   * Ends long polls with an empty answer and refuses what still comes with 503; resolves when the rest
   * is answered, or the grace is over. The app stays open.
   */
  stop(options?: ManagerStopOptions): Promise<void>
}

const defaults = {
  maxBody: 8 * 1_024 * 1_024,
  maxRequests: 10_000,
  /** So many of the largest bodies are read at once. */
  bodiesAtOnce: 16,
  bodyWithinMs: 30_000,
} as const

const leastShownMs = 3 * 3_600_000

/**
 * Makes the manager of an app. Opens nothing by itself. Throws `invalid-option`.
 *
 * @example
 * const { fetch } = manager(errand)
 */
export function manager(errand: Managed, options: ManagerOptions = {}): Manager {
  const { tasksShownFor } = options ?? {}
  const shown = tasksShownFor === undefined ? routes : routesShowing(tasksShownFor)
  return managerOf(errand, shown, options)
}

function routesShowing(tasksShownFor: Duration): readonly Route[] {
  const where = 'manager().tasksShownFor'
  const tasksShownForMs = toMs(tasksShownFor, where)
  if (tasksShownForMs >= leastShownMs) return routesOf({ tasksShownForMs })
  throw new ErrandError('invalid-option', `${where} must be at least 3 h.`)
}

/** The manager of other routes than those of the API, for tests. */
export function managerOf(
  errand: Managed,
  ofApi: readonly Route[],
  options: ManagerOptions = {},
): Manager {
  const where = 'manager()'
  const known = [
    'maxBody',
    'maxRequests',
    'basePath',
    'access',
    'rateLimit',
    'tasksShownFor',
    'redact',
  ]
  refuseUnknownKeys(options, known, where)
  const { maxBody = defaults.maxBody, maxRequests = defaults.maxRequests } = options
  // What is no app is refused here.
  clientOf(errand)
  const { store } = errand
  const events = hubOf(errand)
  const ticks = ticksOf(store)
  const book = new TokenBook(store, ticks)
  const basePath = readBasePath(options.basePath, `${where}.basePath`)
  const sessions = new SessionBook({ store, ticks, basePath })
  const access = new Access(book, sessions, readRule(options.access, `${where}.access`))
  const open = new OpenCalls({
    clock: store.clock,
    stillKnown: (caller) => access.stillKnown(caller),
  })
  const limit = readRateLimit(options.rateLimit, `${where}.rateLimit`)
  const bodies = new BodyReader({
    maxBytes: readCount(maxBody, `${where}.maxBody`),
    maxBytesAtOnce: maxBody * defaults.bodiesAtOnce,
    withinMs: defaults.bodyWithinMs,
    clock: store.clock,
  })
  const handle = createHandler({
    errand: behind(errand, options.redact),
    tokens: toldOf(tokensOf(errand), book),
    sessions: {
      async open(request, token) {
        refuseForeign(request)
        const caller = await access.bearerOf(token)
        return { caller, cookie: await sessions.open(request, caller.token ?? '') }
      },
      end: (request) => sessions.end(request),
    },
    routes: ofApi,
    basePath,
    identify: (request, { peer }) => access.identify(request, peer),
    limiter: limit === null ? null : new RateLimiter(limit, ticks),
    bodies,
    open,
    failed: (error, method, route) =>
      events.warn('request-failed', { method, route: route?.path ?? null, error }),
  })
  const mostOpen = readCount(maxRequests, `${where}.maxRequests`)
  const door = createDoor({ handle, open, mostOpen, basePath, events, ticks })
  return {
    fetch: async (request) => plainOf(await door(request, null, null)),
    listener: nodeListener(door),
    stop: ({ grace = stopDefaults.graceMs } = {}) => open.stop(toMs(grace, 'stop().grace')),
  }
}

/** The app as routes see it: its store shows no token, its jobs show nothing that is hidden, and all digits of numbers. */
function behind(errand: Managed, redact: readonly string[] = []): Managed {
  const store = { value: withoutTokens(errand.store) }
  const whole = jobsWithDigits(errand)
  if (redact.length === 0)
    return Object.create(errand, { store, jobs: { value: whole } }) as Managed
  const redaction = new Redaction(redact, 'manager().redact')
  const jobs = { value: redaction.jobs(whole) }
  return Object.create(errand, { store, jobs, redaction: { value: redaction } }) as Managed
}

/** Tokens whose changes this manager sees at once. */
function toldOf(tokens: Tokens, book: TokenBook): Tokens {
  return {
    list: () => tokens.list(),
    create: (options) => tokens.create(options).finally(() => book.changed()),
    revoke: (id) => tokens.revoke(id).finally(() => book.changed()),
  }
}

function readRule(rule: AccessRule | undefined, where: string): AccessRule {
  if (rule === undefined) return 'tokens'
  if (rule === 'tokens' || rule === 'open' || typeof rule === 'function') return rule
  throw new ErrandError(
    'invalid-option',
    `${where} must be 'tokens', 'open' or a function of the request, not ${shownValue(rule)}.`,
  )
}

function readBasePath(path: string | undefined, where: string): string {
  if (path === undefined || path === '/') return ''
  if (typeof path === 'string' && /^(?:\/[\w.~-]+)+\/?$/.test(path)) return path.replace(/\/$/, '')
  throw new ErrandError(
    'invalid-option',
    `${where} must be a path such as '/api/errand', not ${shownValue(path)}.`,
  )
}

function readRateLimit(limit: ManagerOptions['rateLimit'], where: string): RateLimit | null {
  if (limit === undefined) return null
  refuseUnknownKeys(limit, ['requests', 'per'], where)
  const windowMs = toMs(limit.per, `${where}.per`)
  if (windowMs < 1_000)
    throw new ErrandError('invalid-option', `${where}.per must be at least 1 s.`)
  return { requests: readCount(limit.requests, `${where}.requests`), windowMs }
}
