/** A process that runs a worker, as its supervisor sees it. */
import { fork, type ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { performance } from '../core/timers.ts'
import type { ProcessPlace } from '../loops/own-process.ts'
import { programOptions } from './exec-argv.ts'
import {
  lifeline,
  placeVariable,
  sealed,
  unsealed,
  type FromProcess,
  type ToProcess,
} from './process-messages.ts'

/** How a process ended. */
export interface ProcessEnd {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  /** Why it could not be started at all. */
  readonly cause?: Error
}

export interface WorkerChild {
  /** Null when it could not be started. */
  readonly pid: number | null
  readonly startedAt: number
  readonly ended: Promise<ProcessEnd>
  listen(hear: (message: FromProcess) => void): void
  /** Does nothing for a process that has ended. */
  send(message: ToProcess): void
  kill(): void
}

export interface ProcessStart {
  /** The file of the command `errand`. */
  readonly command: string
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
}

/** Starts one. Its output is that of this process. */
export function startProcess(start: ProcessStart, place: ProcessPlace): WorkerChild {
  try {
    return childOf(forked(start, place))
  } catch (error) {
    // The system has no process, memory or descriptor to give.
    const cause = error instanceof Error ? error : new Error(String(error))
    return {
      pid: null,
      startedAt: performance.now(),
      ended: Promise.resolve({ code: null, signal: null, cause }),
      listen: () => undefined,
      send: () => undefined,
      kill: () => undefined,
    }
  }
}

function forked({ command, args, env }: ProcessStart, { index, of }: ProcessPlace): ChildProcess {
  return fork(fileURLToPath(command), [...args], {
    execArgv: [...programOptions(process.execArgv)],
    env: { ...process.env, ...env, [placeVariable]: `${index}/${of}` },
    // The last one is open for as long as this process lives: see orphan-watch.ts.
    stdio: ['ignore', 'inherit', 'inherit', 'ipc', 'pipe'],
  })
}

function childOf(child: ChildProcess): WorkerChild {
  const { promise: ended, resolve: end } = Promise.withResolvers<ProcessEnd>()
  child.on('error', (cause) => {
    // Else a message did not reach it: then it ends as well, or is ended.
    if (child.pid === undefined) end({ code: null, signal: null, cause })
  })
  const pipe = (child.stdio as ChildProcess['stdio'] | undefined)?.[lifeline]
  pipe?.on('error', () => undefined)
  child.once('exit', (code, signal) => {
    pipe?.destroy()
    end({ code, signal })
  })
  return {
    pid: child.pid ?? null,
    startedAt: performance.now(),
    ended,
    listen(hear) {
      child.on('message', (given) => {
        const message = unsealed<FromProcess>(given)
        if (message !== null) hear(message)
      })
    },
    send(message) {
      // What does not reach it shows in its end.
      if (child.connected) child.send(sealed(message), () => undefined)
    },
    kill: () => void child.kill('SIGKILL'),
  }
}

/** How a process ended, as a clause. */
export function wordsOf({ code, signal, cause }: ProcessEnd): string {
  if (cause !== undefined) return `could not be started: ${cause.message}`
  return signal === null ? `ended with exit code ${code}` : `was ended by ${signal}`
}
