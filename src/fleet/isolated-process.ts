/** The program of a process that runs isolated jobs. */
import { ChildRun } from './child-run.ts'
import type { FromChild, ToChild } from './messages.ts'
import { watchParent } from './orphan-watch.ts'

/** Where the worker's pipe is: see process-child.ts. */
const lifeline = 4

const load = await new Promise<Extract<ToChild, { kind: 'load' }>>((resolve) =>
  process.once('message', (message) => resolve(message as never)),
)
process.title = `errand isolated ${load.task}`
const run = new ChildRun(
  {
    // Without a channel nobody listens, and the watch ends this process.
    send: (message: FromChild) => void process.send?.(message, undefined, {}, () => undefined),
    listen: (hear) => void process.on('message', (message) => hear(message as ToChild)),
    // A pipe is written to at once.
    flush: () => null,
    exit: () => process.exit(0),
  },
  load,
)
process.once('disconnect', () => run.orphaned())
await Promise.all([
  watchParent({ fd: lifeline, hasGroup: process.platform !== 'win32' }, () => run.orphaned()),
  run.begin(),
])
