/** How a command tells the shell how it went: the exit codes, and errors as one line. */
import { isErrandError, type ErrandErrorCode } from '../core/errors.ts'
import { errorText, messageOf, stackOf } from '../core/kept-error.ts'
import { oneLine } from '../core/words.ts'

/** What each code means; `--help` and docs/command-line.md show the same words. */
export const exitCodes = {
  0: 'fine',
  1: 'the command ran and found trouble: a job failed, doctor found a problem, nothing matched',
  2: 'wrong use or configuration, or a store that cannot be opened',
  3: 'the store stopped answering in the middle: what was done is not known',
  4: 'a singleton that was to run once did not: another process has its lock',
  5: 'an operator told the worker to restart: start it again',
} as const

export type ExitCode = keyof typeof exitCodes

const codeOf: Readonly<Record<ErrandErrorCode, ExitCode>> = {
  'invalid-option': 2,
  'invalid-task': 2,
  'duplicate-task': 2,
  'unknown-task': 2,
  'unknown-queue': 2,
  'unknown-schedule': 2,
  'unknown-codec': 2,
  'invalid-config': 2,
  'missing-peer': 2,
  'no-thread': 2,
  'tx-not-immediate': 2,
  'tx-unsupported': 2,
  'invalid-input': 2,
  'invalid-output': 1,
  'not-json': 2,
  'too-large': 2,
  'job-failed': 1,
  'job-cancelled': 1,
  'job-discarded': 1,
  'job-missing': 1,
  'result-gone': 1,
  'result-timeout': 1,
  'not-committed': 1,
  'follow-up-loop': 1,
  'cannot-start': 1,
  'child-died': 1,
  'program-failed': 1,
  'call-changed': 1,
  'store-busy': 2,
  'store-unavailable': 2,
  'store-corrupt': 2,
  'store-too-new': 2,
  'store-replaced': 3,
  'unknown-outcome': 3,
  unauthorized: 2,
  forbidden: 2,
  'protocol-mismatch': 2,
  'invalid-signature': 1,
  'server-unavailable': 2,
  'server-refused': 2,
  overloaded: 3,
  closed: 1,
  timeout: 3,
  cancelled: 1,
  'lease-lost': 1,
  interrupted: 1,
}

/** The exit code that an error leads to; 1 for errors that are not Errand's own. */
export function exitCodeOf(error: unknown): ExitCode {
  const code = errandCode(error)
  return code === null ? 1 : codeOf[code]
}

/** Writes an error as one line, or with its stack and causes. */
export function describeError(error: unknown, verbose: boolean): string {
  const line = `error: ${oneLine(messageOf(error) || errorText(error))}`
  const stack = verbose ? stackOf(error) : null
  return stack === null ? line : `${line}\n${indented(stack)}`
}

/** Sets a stack off, so that no line of a message passes for one of ours. */
function indented(stack: string): string {
  return stack.replaceAll(/^/gm, '  ')
}

/** Tells whether only another process can use the store from now on. */
export function needsRestart(error: unknown): error is Error {
  if (errandCode(error) !== 'store-replaced') return false
  const { details } = error as { readonly details?: { readonly needsRestart?: unknown } }
  return details?.needsRestart === true
}

/** A configuration may bring its own copy of the package, of another version. */
function errandCode(error: unknown): ErrandErrorCode | null {
  return isErrandError(error) && Object.hasOwn(codeOf, error.code) ? error.code : null
}
