/** How a task is isolated from the worker that runs it, as users say it and as the parts read it. */
import { toMs, type Duration } from './duration.ts'
import { ErrandError } from './errors.ts'
import { readModule } from './in-module.ts'
import { mostCount } from './options.ts'
import { refuseUnknownKeys } from './option-keys.ts'
import { readChoice, readFlag, readList, readText, refuseValue } from './read.ts'

/**
 * `'thread'` runs a task's code in threads of its own, `'process'` in processes of its own, each one
 * job at a time. An object says more.
 */
export type Isolate = 'thread' | 'process' | IsolateOptions

/** An amount of memory. */
export type Memory = `${number}mb` | `${number}gb`

export interface IsolateOptions {
  readonly kind: 'thread' | 'process'
  /**
   * The module that exports the task: `import.meta.url`. Needed where `run` is a function and the
   * module is not found by a glob in `tasks`.
   */
  readonly module?: URL | string
  /**
   * The most that the JavaScript heap of one of them may hold, from 16 MB. Memory outside it, such
   * as that of a `Buffer`, is not counted. Default: Node's own limit.
   */
  readonly memory?: Memory
  /** A new one for each job. Default false. */
  readonly fresh?: boolean
  /** One is replaced after so many jobs. Default: never. */
  readonly maxJobs?: number
  /**
   * What a process may do, by Node's permission model; what is not named is refused. It guards
   * against mistakes, and is no boundary against hostile code. Default: everything.
   */
  readonly permissions?: Permissions
  /**
   * The environment: names to pass on beside those that programs commonly need, such as `PATH`;
   * names with values; or `'all'`. Default: only the common ones.
   */
  readonly env?: ProgramEnv
  /** How long an aborted job may take to end before it is killed, at most 5 s. Default 4 s. */
  readonly grace?: Duration
  /** The program of a process. Default: the one that runs the worker. */
  readonly execPath?: string
  /** Options of Node. Default: those of the worker that say how modules are loaded. */
  readonly execArgv?: readonly string[]
}

/** Permissions of an isolated process. */
export interface Permissions {
  /** Files and folders that may be read, beside Errand's own and the module's folder. */
  readonly read?: readonly string[]
  readonly write?: readonly string[]
  readonly childProcesses?: boolean
  readonly addons?: boolean
  /** Refusing it needs Node 25; before, the network is open. */
  readonly net?: boolean
}

export type ProgramEnv = readonly string[] | Readonly<Record<string, string>> | 'all'

/** Isolation, read. */
export interface Isolation {
  readonly kind: 'thread' | 'process'
  readonly memoryMb: number | null
  /** Null for as many as come. */
  readonly maxJobs: number | null
  readonly permissions: Permissions | null
  readonly env: ProgramEnv
  readonly graceMs: number
  readonly execPath: string | null
  readonly execArgv: readonly string[] | null
}

const leastMemoryMb = 16
const grace = { defaultMs: 4_000, mostMs: 5_000 } as const

const keys = [
  'kind',
  'module',
  'memory',
  'fresh',
  'maxJobs',
  'permissions',
  'env',
  'grace',
  'execPath',
  'execArgv',
]

/** Reads what a task says. Throws `invalid-option` for what cannot work together. */
export function readIsolate(
  given: Isolate,
  where: string,
): { readonly isolate: Isolation; readonly module: string | null } {
  if (typeof given === 'string') {
    const kind = readChoice(given, ['thread', 'process'], where)
    return { isolate: { ...plain, kind }, module: null }
  }
  refuseUnknownKeys(given, keys, where)
  const { memory, fresh = false, maxJobs, permissions, env, module, execPath, execArgv } = given
  const kind = readChoice(given.kind, ['thread', 'process'], `${where}.kind`)
  if (kind === 'thread') {
    for (const key of ['permissions', 'execPath'] as const)
      if (given[key] !== undefined)
        throw new ErrandError('invalid-option', `${where}.${key} needs kind: 'process'.`)
  }
  if (readFlag(fresh, `${where}.fresh`) && maxJobs !== undefined)
    throw new ErrandError('invalid-option', `${where} takes either fresh or maxJobs, not both.`)
  const isolate: Isolation = {
    kind,
    memoryMb: memory === undefined ? null : readMemory(memory, `${where}.memory`),
    maxJobs: fresh ? 1 : readMaxJobs(maxJobs, `${where}.maxJobs`),
    permissions:
      permissions === undefined ? null : readPermissions(permissions, `${where}.permissions`),
    env: env === undefined ? [] : readEnv(env, `${where}.env`),
    graceMs: readGrace(given.grace, `${where}.grace`),
    execPath: execPath === undefined ? null : readText(execPath, `${where}.execPath`),
    execArgv:
      execArgv === undefined ? null : readNames(execArgv, `${where}.execArgv`, 'options of Node'),
  }
  return {
    isolate,
    module: module === undefined ? null : readModule(module, `${where}.module`),
  }
}

const plain = {
  memoryMb: null,
  maxJobs: null,
  permissions: null,
  env: [],
  graceMs: grace.defaultMs,
  execPath: null,
  execArgv: null,
} as const

/** Reads the environment of a program. */
export function readEnv(env: ProgramEnv, where: string): ProgramEnv {
  if (env === 'all') return env
  if (Array.isArray(env)) return readNames(env as readonly string[], where, 'names')
  const isOne =
    typeof env === 'object' &&
    env !== null &&
    Object.values(env).every((value) => typeof value === 'string')
  // A value may be a password, so none is shown.
  if (isOne) return env
  throw new ErrandError(
    'invalid-option',
    `${where} must be a list of names, an object of texts, or 'all'.`,
  )
}

/** Reads how long what was aborted may take to end. */
export function readGrace(given: Duration | undefined, where: string): number {
  if (given === undefined) return grace.defaultMs
  const ms = toMs(given, where)
  if (ms <= grace.mostMs) return ms
  throw new ErrandError(
    'invalid-option',
    `${where} is at most ${grace.mostMs / 1_000} s: after that the job's lease ends.`,
  )
}

/** Reads an amount of memory, in whole MB. Throws `invalid-option`. */
export function readMemory(memory: unknown, where: string): number {
  const found = typeof memory === 'string' ? /^(\d+(?:\.\d+)?) ?(mb|gb)$/i.exec(memory) : null
  const mb =
    found === null ? NaN : Number(found[1]) * (found[2]?.toLowerCase() === 'gb' ? 1_024 : 1)
  if (mb >= leastMemoryMb && mb <= mostCount) return Math.floor(mb)
  return refuseValue(where, `an amount such as '512mb' or '2gb', from ${leastMemoryMb}mb`, memory)
}

function readMaxJobs(count: number | undefined, where: string): number | null {
  if (count === undefined) return null
  if (Number.isInteger(count) && count >= 1 && count <= mostCount) return count
  return refuseValue(where, 'a whole number from 1', count)
}

function readPermissions(given: Permissions, where: string): Permissions {
  refuseUnknownKeys(given, ['read', 'write', 'childProcesses', 'addons', 'net'], where)
  for (const key of ['read', 'write'] as const)
    if (given[key] !== undefined) readNames(given[key], `${where}.${key}`, 'paths')
  for (const key of ['childProcesses', 'addons', 'net'] as const)
    if (given[key] !== undefined) readFlag(given[key], `${where}.${key}`)
  return given
}

function readNames(list: readonly string[], where: string, of: string): readonly string[] {
  for (const name of readList(list, where, of)) readText(name, `Each of ${where}`)
  return list
}
