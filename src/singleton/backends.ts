/**
 * Locks, liveness and metrics by name, as the command line and the environment give them: a built-in one, or a module of one's own whose default
 * export makes it. What a built-in one needs comes from the environment.
 */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { ErrandError } from '../core/errors.ts'
import { nearest } from '../core/nearest.ts'
import type { Duration } from '../core/duration.ts'
import type { HttpOptions } from './http-client.ts'
import { consulLiveness } from './liveness/consul.ts'
import { fileLiveness } from './liveness/file.ts'
import { httpLiveness } from './liveness/http.ts'
import type { Liveness } from './liveness/liveness.ts'
import type { Locks } from '../store/locks.ts'
import { consulLocks } from './locks/consul.ts'
import { etcdLocks } from './locks/etcd.ts'
import { influxdb, type InfluxdbOptions } from './metrics/influxdb.ts'
import type { Metrics } from './metrics/metrics.ts'
import { parseDuration } from './options.ts'

type Env = Readonly<Record<string, string | undefined>>
/** Makes a backend from what stands after its name, `file:/run/a.live`, or from the environment. */
type Make<T> = (place: string | undefined, env: Env) => T

const lockMakers: Readonly<Record<string, Make<Locks>>> = {
  consul: (place, env) =>
    consulLocks({
      ...httpFrom('ERRAND_CONSUL', place, env),
      ...textsFrom(env, {
        token: 'ERRAND_CONSUL_TOKEN',
        datacenter: 'ERRAND_CONSUL_DATACENTER',
        key: 'ERRAND_CONSUL_LOCK_KEY',
      }),
    }),
  etcd: (place, env) =>
    etcdLocks({
      ...httpFrom('ERRAND_ETCD', place, env),
      ...textsFrom(env, {
        user: 'ERRAND_ETCD_USER',
        password: 'ERRAND_ETCD_PASSWORD',
        key: 'ERRAND_ETCD_LOCK_KEY',
      }),
    }),
}

const livenessMakers: Readonly<Record<string, Make<Liveness>>> = {
  consul: (place, env) =>
    consulLiveness({
      ...httpFrom('ERRAND_CONSUL', place, env),
      ...textsFrom(env, {
        token: 'ERRAND_CONSUL_TOKEN',
        datacenter: 'ERRAND_CONSUL_DATACENTER',
        key: 'ERRAND_CONSUL_LIVENESS_KEY',
        checkTtl: 'ERRAND_CONSUL_CHECK_TTL',
      }),
    }),
  file: (place, env) =>
    fileLiveness({
      path: needed(place ?? env['ERRAND_LIVENESS_FILE'], 'file:<path> or ERRAND_LIVENESS_FILE'),
    }),
  http: (place, env) => {
    const text = needed(place ?? env['ERRAND_LIVENESS_HTTP'], 'http:<port> or ERRAND_LIVENESS_HTTP')
    const [, host, port] = /^(?:(.+):)?(\d+)$/.exec(text) ?? []
    return httpLiveness({ port: Number(port), ...(host === undefined ? {} : { host }) })
  },
}

const metricsMakers = (
  onError: InfluxdbOptions['onError'],
): Readonly<Record<string, Make<Metrics>>> => ({
  influxdb: (place, env) =>
    influxdb({
      ...(onError === undefined ? {} : { onError }),
      ...httpFrom('ERRAND_INFLUXDB', place, env),
      database: needed(env['ERRAND_INFLUXDB_DATABASE'], 'ERRAND_INFLUXDB_DATABASE'),
      ...textsFrom(env, {
        retentionPolicy: 'ERRAND_INFLUXDB_RETENTION_POLICY',
        user: 'ERRAND_INFLUXDB_USER',
        password: 'ERRAND_INFLUXDB_PASSWORD',
        token: 'ERRAND_INFLUXDB_TOKEN',
      }),
    }),
})

/** Finds a lock by its name or module. Rejects with `invalid-option` and `invalid-config`. */
export function locksNamed(name: string, env: Env): Promise<Locks> {
  return named('lock', name, env, lockMakers, ['hold', 'release', 'lockOwner', 'watch'])
}

export function livenessNamed(name: string, env: Env): Promise<Liveness> {
  return named('liveness', name, env, livenessMakers, ['write', 'read'])
}

/** `onError` hears of what the built-in ones cannot deliver. */
export function metricsNamed(
  name: string,
  env: Env,
  onError?: InfluxdbOptions['onError'],
): Promise<Metrics> {
  return named('metrics', name, env, metricsMakers(onError), ['push', 'close'])
}

async function named<T extends object>(
  what: string,
  text: string,
  env: Env,
  makers: Readonly<Record<string, Make<T>>>,
  verbs: readonly string[],
): Promise<T> {
  if (/^\.{0,2}\//.test(text)) return ownModule(what, text, verbs)
  const [, name = '', place] = /^([^:]*)(?::(.*))?$/s.exec(text) ?? []
  const make = Object.hasOwn(makers, name) ? makers[name] : undefined
  if (make !== undefined) return make(place, env)
  const known = Object.keys(makers)
  const meant = nearest(name, known)
  const hint = meant === null ? `Known are ${known.join(', ')}` : `Did you mean ${meant}`
  throw new ErrandError(
    'invalid-option',
    `There is no ${what} ${name}. ${hint}, or a module's path such as ./own-${what}.ts?`,
  )
}

/** Loads a backend of the user's own: the default export, or what it answers when it is a function. */
async function ownModule<T extends object>(
  what: string,
  path: string,
  verbs: readonly string[],
): Promise<T> {
  const refused = (why: string, cause?: unknown): ErrandError =>
    new ErrandError('invalid-config', `The ${what} ${path} cannot be used: ${why}`, { cause })
  const module = (await import(pathToFileURL(resolve(path)).href).catch((cause: unknown) => {
    throw refused(cause instanceof Error ? cause.message : String(cause), cause)
  })) as { readonly default?: unknown }
  const made: unknown =
    typeof module.default === 'function'
      ? await (module.default as () => unknown)()
      : module.default
  const has = (verb: string): boolean => typeof made === 'object' && made !== null && verb in made
  const missing = verbs.filter((verb) => !has(verb))
  if (missing.length > 0)
    throw refused(`its default export has no ${missing.join(', ')}. It must make a ${what}.`)
  return made as T
}

/** The options of servers over HTTP, from variables that begin alike. */
function httpFrom(prefix: string, place: string | undefined, env: Env): HttpOptions {
  const text = (name: string): string | undefined => env[`${prefix}_${name}`] || undefined
  const duration = (name: string): Duration | undefined => {
    const value = text(name)
    return value === undefined ? undefined : parseDuration(value, `${prefix}_${name}`)
  }
  const file = (name: string): string | undefined => {
    const path = text(name)
    if (path === undefined) return undefined
    try {
      return readFileSync(path, 'utf8')
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause)
      throw new ErrandError('invalid-option', `${prefix}_${name} cannot be read: ${why}`, { cause })
    }
  }
  const retries = text('RETRIES')
  const tls = given({ ca: file('CA_FILE'), cert: file('CERT_FILE'), key: file('KEY_FILE') })
  return given({
    url: place ?? text('URL'),
    timeout: duration('TIMEOUT'),
    retries: retries === undefined ? undefined : Number(retries),
    retryWait: duration('RETRY_WAIT'),
    tls: Object.keys(tls).length === 0 ? undefined : tls,
  })
}

function textsFrom<Name extends string>(
  env: Env,
  variables: Readonly<Record<Name, string>>,
): { readonly [name in Name]?: never } {
  const texts = Object.entries<string>(variables).map(([name, variable]) => [name, env[variable]])
  return given(Object.fromEntries(texts.filter(([, text]) => text !== ''))) as Record<Name, never>
}

/** What is not undefined. */
function given<T extends object>(values: T): { [Name in keyof T]?: Exclude<T[Name], undefined> } {
  const entries = Object.entries(values).filter(([, value]) => value !== undefined)
  return Object.fromEntries(entries) as { [Name in keyof T]?: Exclude<T[Name], undefined> }
}

function needed(text: string | undefined, what: string): string {
  if (text !== undefined && text !== '') return text
  throw new ErrandError('invalid-option', `${what} is missing.`)
}
