/**
 * The start of threads of Errand's own. A thread is started only from a file of this copy of
 * Errand, and counts only once it has said that it is ready: whatever else it may be that runs
 * there is ended.
 */
import { existsSync, realpathSync } from 'node:fs'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { Worker as Thread } from 'node:worker_threads'
import { formatMs } from '../core/duration.ts'
import { ErrandError } from '../core/errors.ts'
import { ownModule } from '../core/own-module.ts'
import { version } from '../core/version.ts'
import type { EventHub } from '../observe/events.ts'
import { warningOf, type WarningFacts } from '../observe/warnings.ts'
import type { Connector } from '../store/store.ts'
import type { Ready, ThreadStart } from './in-thread.ts'
import { clearTimeout, setTimeout } from '../core/timers.ts'

type ThreadModule = 'worker/renewer-thread' | 'singleton/lock-thread'

/** How long a thread may take to be ready, and to end, before it is ended. */
const threadBounds = { startMs: 10_000, stopMs: 2_000 } as const

/**
 * Tells, for people, why no thread can be started here that opens this again; null when one may be
 * tried.
 */
export function whyNoThread(module: ThreadModule, connector: Connector): string | null {
  const file = ownModule(module)
  if (file === null || !hasFile(connector))
    return 'Errand is inside a bundle, whole or in part, and threads need files of their own. Mark errand as external: see docs/with-your-tools.md.'
  if (!existsSync(fileURLToPath(file)))
    return `${fileURLToPath(file)} is missing. Mark errand as external in the bundle, and install it beside it: see docs/with-your-tools.md.`
  if (namesProgram(connector))
    return 'What a thread would open is in the file of the program itself, which would run again there. Move it to a file of its own, outside the bundle.'
  const { permission } = process as Partial<NodeJS.Process>
  if (permission !== undefined && !permission.has('worker'))
    return "Node's permissions forbid threads. Start it with --allow-worker."
  return null
}

/**
 * Starts a thread and resolves once it is ready. Rejects with `no-thread`, having ended it, when it
 * fails before, takes too long, or the signal aborts.
 */
export async function startThread<Data extends object>(
  module: ThreadModule,
  connector: Connector,
  data: Data,
  signal: AbortSignal,
): Promise<Thread> {
  const why = whyNoThread(module, connector)
  const file = ownModule(module)
  if (why !== null || file === null) throw noThread(why ?? 'It has no file.')
  const start: ThreadStart & Data = { ...data, version, connector }
  const thread = opened(new URL(file), start)
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const stopped = (): void => reject(noThread('It was stopped while it started.'))
  const late = setTimeout(() => {
    reject(noThread(`It was not ready within ${formatMs(threadBounds.startMs)}.`))
  }, threadBounds.startMs)
  const ready = (message: Ready | { readonly kind: string }): void => {
    if (message.kind === 'ready') resolve()
  }
  // For as long as it lives: an error without a listener would end the process.
  thread.on('error', (error) => reject(noThread(messageOf(error), error)))
  thread.once('exit', (code) => reject(noThread(`It ended with code ${code}.`)))
  thread.on('message', ready)
  signal.addEventListener('abort', stopped, { once: true })
  if (signal.aborted) stopped()
  try {
    await promise
    return thread
  } catch (error) {
    await thread.terminate()
    throw error
  } finally {
    clearTimeout(late)
    thread.off('message', ready)
    signal.removeEventListener('abort', stopped)
  }
}

/** Asks a thread that lives to end; ends it when it does not within its time. */
export async function stopThread(thread: Thread, ask: () => void): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  thread.once('exit', () => resolve())
  const timer = setTimeout(() => void thread.terminate(), threadBounds.stopMs)
  ask()
  await promise
  clearTimeout(timer)
}

/**
 * Says that the event loop does a thread's work, to whoever listens, or on the console when nobody
 * does.
 */
export function sayNoThread(events: EventHub, facts: WarningFacts['no-thread']): void {
  const warning = warningOf('no-thread', facts)
  if (!events.has('warning')) process.emitWarning(warning.message, { type: 'ErrandWarning' })
  events.emit('warning', warning)
}

function opened(file: URL, workerData: ThreadStart): Thread {
  try {
    return new Thread(file, { workerData, ...forFiles(process.execArgv) })
  } catch (cause) {
    throw noThread(messageOf(cause), cause)
  }
}

/**
 * Options of the program that a thread cannot have: it is a file, whatever the program came from.
 */
function forFiles(options: readonly string[]): { readonly execArgv?: string[] } {
  const kept = options.filter((option) => !option.startsWith('--input-type'))
  return kept.length === options.length ? {} : { execArgv: kept }
}

/** Whether its module, and that of what it wraps, is a file of its own. */
function hasFile(connector: Connector): boolean {
  return modulesOf(connector).every((module) => typeof module === 'string')
}

function namesProgram(connector: Connector): boolean {
  const [, main] = process.argv
  if (main === undefined || !existsSync(main)) return false
  return modulesOf(connector).includes(pathToFileURL(realpathSync(main)).href)
}

function modulesOf({ module, argument }: Connector): readonly unknown[] {
  const isWrapped = typeof argument === 'object' && argument !== null && 'module' in argument
  return isWrapped ? [module, ...modulesOf(argument as Connector)] : [module]
}

function noThread(why: string, cause?: unknown): ErrandError {
  return new ErrandError('no-thread', `The thread cannot start: ${why}`, { cause })
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
