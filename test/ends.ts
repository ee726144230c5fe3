/** Processes that end with the one that started them, also when it is ended from outside because one of its tests hangs. */
import type { ChildProcess } from 'node:child_process'

const ours = new Map<ChildProcess, NodeJS.Signals>()
process.once('exit', () => {
  for (const [child, signal] of ours) child.kill(signal)
})
process.once('SIGTERM', () => process.exit(143))

/** Sends a process the signal when this one ends, if it has not ended before. */
export function endsWithThis<Child extends ChildProcess>(
  child: Child,
  signal: NodeJS.Signals = 'SIGKILL',
): Child {
  ours.set(child, signal)
  child.once('exit', () => ours.delete(child))
  return child
}
