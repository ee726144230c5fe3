/** Programs as tasks: what `exec` takes, as users say it and as the parts read it. */
import type { Duration } from './duration.ts'
import { ErrandError } from './errors.ts'
import { readEnv, readGrace, type ProgramEnv } from './isolate.ts'
import { refuseUnknownKeys } from './option-keys.ts'
import { readList, readText } from './read.ts'

/** A program with its arguments, or an object that says more. */
export type Exec = Command | ExecOptions

/** The program and its arguments; no shell reads them. */
export type Command = readonly [program: string, ...args: readonly string[]]

export interface ExecOptions {
  readonly command: Command
  /** The folder it runs in. Default: that of the worker. */
  readonly cwd?: string
  /**
   * The environment: names to pass on beside those that programs commonly need, such as `PATH`;
   * names with values; or `'all'`. `ERRAND_JOB_ID`, `ERRAND_TASK`, `ERRAND_ATTEMPT` and
   * `ERRAND_TOKEN` are always there.
   */
  readonly env?: ProgramEnv
  /** How long it may take to end after SIGTERM before it is killed, at most 5 s. Default 4 s. */
  readonly grace?: Duration
}

/** A program, read. */
export interface Program {
  readonly command: Command
  readonly cwd: string | null
  readonly env: ProgramEnv
  readonly graceMs: number
  /** What is on its standard output. */
  readonly output: 'json' | 'text'
}

/** Reads what a task says. Throws `invalid-option`. */
export function readExec(given: Exec, output: Program['output'], where: string): Program {
  const options = Array.isArray(given) ? { command: given as Command } : (given as ExecOptions)
  refuseUnknownKeys(options, ['command', 'cwd', 'env', 'grace'], where)
  const { command, cwd, env, grace } = options
  return {
    command: readCommand(command, where),
    cwd: cwd === undefined ? null : readText(cwd, `${where}.cwd`),
    env: env === undefined ? [] : readEnv(env, `${where}.env`),
    graceMs: readGrace(grace, `${where}.grace`),
    output,
  }
}

function readCommand(command: Command, where: string): Command {
  readList(command, where, 'a program and its arguments')
  readText(command[0], `The program of ${where}`)
  for (const arg of command) {
    if (typeof arg === 'string' && !arg.includes('\0')) continue
    throw new ErrandError('invalid-option', `${where} takes texts without NUL only.`)
  }
  return command
}
