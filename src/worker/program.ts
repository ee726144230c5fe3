/**
 * Runs programs as handlers: the input is JSON on standard input, standard output is the output,
 * standard error goes to the job's log.
 *
 * Modes: running → told to end (SIGTERM to its group, at an abort) → killed (SIGKILL, after its
 * grace, or when it writes too much) → ended, which only the exit of the program brings.
 */
import { spawn, type ChildProcessByStdio } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'
import { payloadBounds } from '../app/payload.ts'
import type { Program } from '../core/exec.ts'
import { ErrandError } from '../core/errors.ts'
import { fromJson, toJson } from '../core/json.ts'
import type { Handler, RunningJob } from '../core/running-job.ts'
import { clearTimeout, setTimeout } from '../core/timers.ts'
import { lastLines, LoggedLines, Tail } from './captured-output.ts'
import { childEnv } from './child-env.ts'
import { asInvalidOutput } from './invalid-payload.ts'
import { killAtExit, ownGroup, signalGroup } from './process-group.ts'

type Child = ChildProcessByStdio<Writable, Readable, Readable>

interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/** How long what a program has started may keep its streams open after it has ended. */
const leftOpenMs = 1_000

/** Makes the handler that runs a program. */
export function programHandler(program: Program): Handler<unknown, unknown, unknown> {
  return (input, job) => runProgram(program, input, job)
}

async function runProgram(program: Program, input: unknown, job: RunningJob): Promise<unknown> {
  const { signal } = job
  signal.throwIfAborted()
  const child = await started(program, job)
  let stopKilling = (): void => undefined
  const abort = (): void => {
    signalGroup(child, 'SIGTERM')
    const timer = setTimeout(() => signalGroup(child, 'SIGKILL'), program.graceMs)
    stopKilling = () => clearTimeout(timer)
  }
  signal.addEventListener('abort', abort, { once: true })
  if (signal.aborted) abort()
  const errors = new Tail()
  const lines = new LoggedLines((line) => job.log.info(line))
  child.stderr.on('data', (chunk: Buffer) => {
    errors.push(chunk)
    lines.push(chunk)
  })
  const output = collect(child)
  // A program need not read its input.
  child.stdin.on('error', () => undefined)
  child.stdin.end(toJson(input, 'input'))
  try {
    const exit = await ended(child)
    lines.end()
    signal.throwIfAborted()
    if (output.isTooLarge) asInvalidOutput(tooLarge(program))
    if (exit.code !== 0) throw programFailed(program, exit, errors.text)
    return outputOf(program, output.text)
  } finally {
    stopKilling()
    signal.removeEventListener('abort', abort)
  }
}

/** Rejects with `cannot-start` when there is no such program here, or none can be started. */
function started(program: Program, job: RunningJob): Promise<Child> {
  const [command, ...args] = program.command
  return new Promise((resolve, reject) => {
    const fail = (cause: unknown): void => {
      const message = cause instanceof Error ? cause.message : String(cause)
      reject(
        new ErrandError('cannot-start', `The program ${command} does not start: ${message}`, {
          cause,
        }),
      )
    }
    try {
      const child = spawn(command, args, {
        ...ownGroup,
        stdio: 'pipe',
        env: {
          ...childEnv(program.env),
          ERRAND_JOB_ID: job.id,
          ERRAND_TASK: job.task,
          ERRAND_ATTEMPT: String(job.attempt),
          ERRAND_TOKEN: String(job.token),
        },
        ...(program.cwd === null ? {} : { cwd: program.cwd }),
      })
      killAtExit(child)
      child.once('error', fail)
      child.once('spawn', () => resolve(child))
    } catch (error) {
      fail(error)
    }
  })
}

/** Gathers standard output, up to what one output may have; a program that writes more is killed. */
function collect(child: Child): { readonly text: string; readonly isTooLarge: boolean } {
  let chunks: Buffer[] = []
  let bytes = 0
  child.stdout.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    if (bytes <= payloadBounds.refuseBytes) return void chunks.push(chunk)
    chunks = []
    signalGroup(child, 'SIGKILL')
  })
  return {
    get text() {
      return Buffer.concat(chunks).toString('utf8')
    },
    get isTooLarge() {
      return bytes > payloadBounds.refuseBytes
    },
  }
}

/** Resolves once the program has ended and its streams have, which others of its group may hold. */
function ended(child: Child): Promise<Exit> {
  return new Promise((resolve) => {
    let timer: NodeJS.Timeout | undefined
    child.once('exit', () => {
      timer = setTimeout(() => {
        signalGroup(child, 'SIGKILL')
        for (const stream of [child.stdout, child.stderr]) stream.destroy()
      }, leftOpenMs)
    })
    child.once('close', (code: number | null, signal: NodeJS.Signals | null) => {
      clearTimeout(timer)
      resolve({ code, signal })
    })
  })
}

function outputOf({ output, command }: Program, text: string): unknown {
  if (output === 'text') return text
  if (text.trim() === '') return undefined
  try {
    return fromJson(text, 'output')
  } catch (cause) {
    const [name] = command
    const why = `What ${name} writes to its standard output is not JSON. Have it write JSON only, or take it as it is: output: 'text'.`
    return asInvalidOutput(new ErrandError('not-json', why, { cause }))
  }
}

function tooLarge({ command: [name] }: Program): ErrandError {
  const most = payloadBounds.refuseBytes
  return new ErrandError(
    'too-large',
    `${name} wrote more than ${most} bytes to its standard output and was killed; at most that is stored. Have it write a file, and its name.`,
  )
}

function programFailed({ command: [name] }: Program, exit: Exit, stderr: string): ErrandError {
  const how =
    exit.signal === null ? `ended with exit code ${exit.code}` : `was ended by ${exit.signal}`
  const words = lastLines(stderr)
  const error = new ErrandError(
    'program-failed',
    `${name} ${how}${words === '' ? '.' : `: ${words}`}`,
    {
      details: { ...exit, stderr },
    },
  )
  // What the program wrote says more than where this was made.
  error.stack = `${error.name}: ${name} ${how}\n${lastLines(stderr, 4_000)}`
  return error
}
