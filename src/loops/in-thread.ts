/** What a thread of Errand's own does first: it opens once more what the program works with. */
import { ErrandError } from '../core/errors.ts'
import { version } from '../core/version.ts'
import type { Connector } from '../store/store.ts'

/** What every thread is given. */
export interface ThreadStart {
  /** The version of the program's copy of Errand. */
  readonly version: string
  readonly connector: Connector
}

/** What every thread says when its work can begin. */
export interface Ready {
  readonly kind: 'ready'
}

/** Shared by all copies of Errand in a thread. */
const mark = Symbol.for('errand.thread')
/** Shared by all copies of Errand in a thread or process that runs isolated jobs. */
const childMark = Symbol.for('errand.child')

/**
 * Opens in a thread what its program works with. Rejects with `no-thread` when it is another Errand
 * than the program's.
 */
export async function openInThread<Opened>(start: ThreadStart): Promise<Opened> {
  Reflect.set(globalThis, mark, true)
  if (start.version !== version) {
    const why = `the program has version ${start.version} of errand in its bundle, and the thread found ${version}`
    throw new ErrandError('no-thread', `${why}: mark errand as external.`)
  }
  return openConnector(start.connector)
}

/** Imports the module of a connector and answers what it connects to. */
export async function openConnector<Opened>({ module, argument }: Connector): Promise<Opened> {
  if (module === null) throw new ErrandError('no-thread', 'the connector names no module.')
  const { connect } = (await import(module)) as {
    readonly connect?: (argument: unknown) => Opened | Promise<Opened>
  }
  if (connect === undefined) throw new ErrandError('no-thread', `${module} exports no connect().`)
  return connect(argument)
}

/** Says that this thread or process is a child that runs jobs of an isolated task. */
export function markChild(task: string): void {
  Reflect.set(globalThis, childMark, task)
}

/**
 * Throws `no-thread` in a thread of Errand's: a program that is loaded there must not begin its
 * work once more.
 */
export function refuseInThread(what: string): void {
  if (Reflect.has(globalThis, childMark)) {
    const task = String(Reflect.get(globalThis, childMark))
    throw new ErrandError(
      'no-thread',
      `${what} cannot start here: this only runs jobs of ${task}, whose module starts the program once more. Move the task to a module of its own.`,
    )
  }
  if (!Reflect.has(globalThis, mark)) return
  const why =
    'This thread only opens the store again, and the module of its connector runs the program: move its connect() to a file of its own.'
  throw new ErrandError('no-thread', `${what} cannot start here. ${why}`)
}
