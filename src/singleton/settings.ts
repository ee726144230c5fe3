/**
 * What a singleton is set to do: each setting from the first source that says it, the command line, the environment, the definition, the
 * default. Everything is read before anything runs, and all that is wrong is told together.
 */
import type { StandardSchemaV1 } from '@standard-schema/spec'
import { toMs, type Duration } from '../core/duration.ts'
import { ErrandError } from '../core/errors.ts'
import { readTimezone, readWhen, type When } from '../flows/schedules/ticks.ts'
import { stopDefaults } from '../loops/stop-defaults.ts'
import type { Liveness } from './liveness/liveness.ts'
import type { Locks } from '../store/locks.ts'
import type { Metrics } from './metrics/metrics.ts'
import { flagOf, parseDuration, parseFlag, parseOption, type OptionSpec } from './options.ts'
import type { AnySingleton } from './singleton.ts'

/** When the next run begins: never, so long after the start of the last one, so long after its end, or at the next tick. */
export type Pace =
  | { readonly kind: 'once' }
  | { readonly kind: 'every'; readonly ms: number }
  | { readonly kind: 'pause'; readonly ms: number }
  | { readonly kind: 'cron'; readonly when: When }

/** What the loop works by. */
export interface SingletonSettings {
  readonly name: string
  readonly pace: Pace
  /** Null runs without a lock. */
  readonly locks: Locks | null
  readonly ttlMs: number
  readonly keepLock: boolean
  readonly releaseOnError: boolean
  readonly liveness: readonly Liveness[]
  readonly metrics: readonly Metrics[]
  /** How long a run may go on after a stop was asked, in ms; null for no bound. */
  readonly graceMs: number | null
}

/** Settings as they are said: backends are objects from the definition, or names and module paths from elsewhere. */
export interface ReadSettings extends Omit<SingletonSettings, 'locks' | 'liveness' | 'metrics'> {
  readonly lock: string | Locks
  readonly liveness: readonly (string | Liveness)[]
  readonly metrics: readonly (string | Metrics)[]
  /** The singleton's own options, checked. */
  readonly options: unknown
}

/** Where settings come from, beside the definition. */
export interface SettingSources {
  /** By flag without its dashes, in camel case: text, or true for a flag without a value. */
  readonly flags: Readonly<Record<string, string | boolean | undefined>>
  readonly env: Readonly<Record<string, string | undefined>>
}

const defaults = { everyMs: 60_000, ttlMs: 30_000, graceMs: stopDefaults.graceMs } as const
/** Shorter paces are mistakes of units. */
const leastPaceMs = 1

/** The settings that every singleton has, and their variables. */
export const settingVariables = {
  once: 'ERRAND_RUN_ONCE',
  every: 'ERRAND_RUN_EVERY',
  pause: 'ERRAND_RUN_PAUSE',
  cron: 'ERRAND_RUN_CRON',
  timezone: 'ERRAND_RUN_TIMEZONE',
  keepLock: 'ERRAND_RUN_KEEP_LOCK',
  releaseOnError: 'ERRAND_RUN_RELEASE_ON_ERROR',
  lock: 'ERRAND_RUN_LOCK',
  ttl: 'ERRAND_RUN_TTL',
  grace: 'ERRAND_RUN_GRACE',
  liveness: 'ERRAND_RUN_LIVENESS',
  metrics: 'ERRAND_RUN_METRICS',
} as const

type SettingName = keyof typeof settingVariables

/** One source's word on a setting. */
interface Said {
  readonly value: unknown
  /** How it is called there, for messages. */
  readonly source: string
}

/** Reads all settings of a singleton. `timezone` is the app's. Throws `invalid-config` with everything that is wrong. */
export async function readSettings(
  singleton: AnySingleton,
  sources: SettingSources,
  timezone = 'UTC',
): Promise<ReadSettings> {
  const reader = new Reader(singleton, sources)
  const { name, definition } = singleton
  const keepLock = reader.flag('keepLock') ?? false
  const releaseOnError = reader.flag('releaseOnError') ?? false
  const settings: ReadSettings = {
    name,
    pace: reader.pace(timezone),
    lock: (reader.first('lock')?.value ?? 'store') as string | Locks,
    ttlMs: reader.duration('ttl') ?? defaults.ttlMs,
    keepLock,
    releaseOnError,
    liveness: reader.several<Liveness>('liveness', ['store']),
    metrics: reader.several<Metrics>('metrics', []),
    graceMs: reader.grace(),
    options: await reader.options(
      (definition.options ?? {}) as Readonly<Record<string, OptionSpec>>,
      definition.check as StandardSchemaV1 | undefined,
    ),
  }
  if (releaseOnError && !keepLock)
    reader.wrong('releaseOnError only means something with keepLock: set that, too.')
  reader.finish()
  return settings
}

class Reader {
  readonly #singleton: AnySingleton
  readonly #sources: SettingSources
  readonly #wrong: string[] = []

  constructor(singleton: AnySingleton, sources: SettingSources) {
    this.#singleton = singleton
    this.#sources = sources
  }

  wrong(why: string): void {
    this.#wrong.push(why)
  }

  finish(): void {
    if (this.#wrong.length === 0) return
    const { name } = this.#singleton
    throw new ErrandError(
      'invalid-config',
      `The settings of the singleton ${name} cannot work: ${this.#wrong.join(' ')}`,
      { details: { singleton: name, wrong: this.#wrong } },
    )
  }

  /** What the first source says that says anything. */
  first(name: SettingName): Said | null {
    for (const level of this.#levels(name)) if (level.value !== undefined) return level
    return null
  }

  flag(name: SettingName): boolean | null {
    return this.#read(name, toFlag)
  }

  duration(name: SettingName): number | null {
    return this.#read(name, toDuration)
  }

  grace(): number | null {
    const said = this.first('grace')
    if (said === null) return defaults.graceMs
    return said.value === 'none' ? null : this.duration('grace')
  }

  /** Backends: several, in one text with commas between, or as a definition lists them. */
  several<T>(name: SettingName, otherwise: readonly string[]): readonly (string | T)[] {
    const value = this.first(name)?.value ?? otherwise
    const list = typeof value === 'string' ? value.split(',') : [value].flat()
    return list
      .map((one) => (typeof one === 'string' ? one.trim() : (one as T)))
      .filter((one) => one !== '' && one !== 'none')
  }

  /** The first source that names a pace decides it; one that names two is refused. `once` that is denied is denied to lower sources. */
  pace(timezone: string): Pace {
    const kinds = (['every', 'pause', 'cron'] as const).map((kind) => ({
      kind,
      levels: this.#levels(kind),
    }))
    let mayBeOnce = true
    for (const [level, once] of this.#levels('once').entries()) {
      const named = kinds.flatMap(({ kind, levels }) => {
        const said = saidOf(levels[level])
        return said === null ? [] : [{ kind, said }]
      })
      const [first, second] = named
      if (first !== undefined && second !== undefined)
        this.wrong(
          `${first.said.source} and ${second.said.source} exclude each other: give one of them.`,
        )
      const isOnce = once.value === undefined ? null : this.#parse(once, toFlag)
      if (isOnce === true && mayBeOnce) return { kind: 'once' }
      if (isOnce === false) mayBeOnce = false
      if (first === undefined) continue
      const { kind, said } = first
      if (kind === 'cron') return this.#cron(said, timezone)
      const ms = this.#parse(said, toDuration) ?? defaults.everyMs
      if (ms < leastPaceMs) this.wrong(`${said.source} must be longer than nothing.`)
      return { kind, ms }
    }
    return { kind: 'every', ms: defaults.everyMs }
  }

  #cron(said: Said, timezone: string): Pace {
    const zone = this.#read('timezone', readTimezone) ?? timezone
    const { name } = this.#singleton
    const when = this.#parse(said, (cron) => readWhen({ cron: cron as string }, name, zone))
    // What cannot be read is refused before anything runs by it.
    return when === null ? { kind: 'every', ms: defaults.everyMs } : { kind: 'cron', when }
  }

  async options(
    specs: Readonly<Record<string, OptionSpec>>,
    check: StandardSchemaV1 | undefined,
  ): Promise<unknown> {
    const values: Record<string, unknown> = {}
    for (const [name, spec] of Object.entries(specs)) values[name] = this.#option(name, spec)
    if (check === undefined || this.#wrong.length > 0) return values
    const result = await check['~standard'].validate(values)
    if (result.issues === undefined) return result.value
    for (const { path, message } of result.issues) {
      const at = (path ?? []).map((part) => String(typeof part === 'object' ? part.key : part))
      this.wrong(`${at.map((part) => flagOf(part)).join('.') || 'The options'}: ${message}.`)
    }
    return values
  }

  #option(name: string, spec: OptionSpec): unknown {
    const { flags, env } = this.#sources
    const given = flags[name]
    const fromEnv = spec.env === undefined ? undefined : env[spec.env]
    try {
      if (typeof given === 'boolean') return given
      if (given !== undefined) return parseOption(spec, given, flagOf(name))
      if (fromEnv !== undefined && fromEnv !== '')
        return parseOption(spec, fromEnv, spec.env ?? name)
      if (spec.default !== undefined)
        return spec.type === 'duration' ? toMs(spec.default, flagOf(name)) : spec.default
    } catch (error) {
      this.wrong((error as Error).message)
      return undefined
    }
    if (spec.required === true) {
      const or = spec.env === undefined ? '' : ` or ${spec.env}`
      this.wrong(`${flagOf(name)}${or} is missing.`)
    }
    return spec.type === 'flag' ? false : undefined
  }

  #levels(name: SettingName): readonly [Said, Said, Said] {
    const variable = settingVariables[name]
    const fromEnv = this.#sources.env[variable]
    return [
      { value: this.#sources.flags[name], source: flagOf(name) },
      { value: fromEnv === '' ? undefined : fromEnv, source: variable },
      {
        value: (this.#singleton.definition as { readonly [key in SettingName]?: unknown })[name],
        source: name,
      },
    ]
  }

  #read<T>(name: SettingName, read: (value: unknown, source: string) => T): T | null {
    const said = this.first(name)
    return said === null ? null : this.#parse(said, read)
  }

  #parse<T>(said: Said, read: (value: unknown, source: string) => T): T | null {
    try {
      return read(said.value, said.source)
    } catch (error) {
      this.wrong((error as Error).message)
      return null
    }
  }
}

function saidOf(said: Said | undefined): Said | null {
  return said?.value === undefined ? null : said
}

function toFlag(value: unknown, source: string): boolean {
  return typeof value === 'string' ? parseFlag(value, source) : value === true
}

function toDuration(value: unknown, source: string): number {
  return typeof value === 'string' ? parseDuration(value, source) : toMs(value as Duration, source)
}
