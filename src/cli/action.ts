/** What every command shares: the global options, and the way from a handler to an exit code. */
import { readFileSync } from 'node:fs'
import type { Command } from 'commander'
import { ErrandError } from '../core/errors.ts'
import type { Errand } from '../errand.ts'
import { describeError, exitCodeOf, type ExitCode } from './exit.ts'
import type { Globals } from './globals.ts'
import { flushed, keepStdoutPure, remark } from './terminal.ts'

/** How long the end of a command waits for its store to let go. */
const closeWithinMs = 2_000

/**
 * Makes commander's action of a handler: runs it, reports its error on one line, and ends the process with its exit code.
 * The process is ended and not awaited, since a configuration may hold connections of its own.
 */
export function action<Options extends object, Args extends readonly unknown[]>(
  handler: (options: Options & Globals, ...args: Args) => Promise<ExitCode>,
): (...given: unknown[]) => Promise<void> {
  return async (...given) => {
    const command = given.at(-1) as Command
    const options = command.optsWithGlobals<Options & Globals>()
    await end(await outcome(options, () => handler(options, ...(given.slice(0, -2) as never))))
  }
}

async function outcome(globals: Globals, run: () => Promise<ExitCode>): Promise<ExitCode> {
  try {
    if (globals.tokenFile !== undefined) takeToken(globals.tokenFile)
    return await run()
  } catch (error) {
    remark(describeError(error, globals.verbose === true))
    return exitCodeOf(error)
  }
}

/** Puts the token of a file where every store behind a manager looks for one. */
function takeToken(file: string): void {
  process.env['ERRAND_TOKEN'] = readToken(file)
}

function readToken(file: string): string {
  let token: string
  try {
    token = readFileSync(file, 'utf8').trim()
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : 'it cannot be read'
    throw new ErrandError('invalid-option', `The token file ${file} is of no use: ${why}`, {
      cause,
    })
  }
  if (/^\S+$/.test(token)) return token
  throw new ErrandError('invalid-option', `The token file ${file} must hold one token.`)
}

/** Ends the process once its output has left it. */
export async function end(code: number): Promise<never> {
  await flushed()
  process.exit(code)
}

/**
 * Opens the app of a command that gives one answer, hands it to `use`, and closes it whatever comes. Its jobs show all
 * digits of their numbers.
 */
export async function withApp<Result>(
  globals: Globals,
  use: (errand: Errand) => Promise<Result>,
): Promise<Result> {
  keepStdoutPure()
  const { openApp } = await import('./open-app.ts')
  const { jobsWithDigits } = await import('../client/jobs-with-digits.ts')
  const errand = await openApp(globals)
  const jobs = { value: jobsWithDigits(errand) }
  try {
    return await use(Object.create(errand, { jobs }) as Errand)
  } finally {
    await Promise.race([errand.close().catch(() => {}), timeout(closeWithinMs)])
  }
}

function timeout(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms).unref())
}
