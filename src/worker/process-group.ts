/**
 * Child processes that lead a group of their own, so that whatever they start can be ended with
 * them. Those that still run when this process exits are killed.
 */
import { spawnSync, type ChildProcess } from 'node:child_process'
import { readFileSync } from 'node:fs'

const isPosix = process.platform !== 'win32'

/** Options of `spawn` and `fork` that give a child its group. */
export const ownGroup: { readonly detached: boolean } = { detached: isPosix }

let starter: string | null | undefined

/**
 * The program that starts a child in a group of its own, in place of `ownGroup`; null where that does.
 *
 * Node gives a child a group only together with a session. Linux shares out its processors among
 * sessions (autogroup), and there a message between two of them takes up to five times as long.
 * `timeout 0 …` of coreutils makes a group and nothing else.
 */
export function groupStarter(): string | null {
  if (starter === undefined) starter = hasAutogroup() && hasCoreutils() ? 'timeout' : null
  return starter
}

function hasAutogroup(): boolean {
  try {
    return readFileSync('/proc/sys/kernel/sched_autogroup_enabled', 'utf8').trim() === '1'
  } catch {
    // Another system, or a kernel without it.
    return false
  }
}

/** That of Busybox makes no group. */
function hasCoreutils(): boolean {
  const { stdout } = spawnSync('timeout', ['--version'], { encoding: 'utf8', timeout: 2_000 })
  return /coreutils/.test(stdout ?? '')
}

const leaders = new Set<ChildProcess>()

/** More children at a time than any machine runs; of those beyond, only the exit of this process knows. */
const mostShared = 4_096
/**
 * Their pids, 0 for none, in memory that a thread may read while this one is blocked: then nothing is reaped, so that none of them
 * can be another process by now.
 */
export const leaderPids: Int32Array = new Int32Array(new SharedArrayBuffer(4 * mostShared))

/** Kills the group when this process exits before the child. */
export function killAtExit(child: ChildProcess): void {
  if (leaders.size === 0) process.on('exit', killAll)
  leaders.add(child)
  const at = child.pid === undefined ? -1 : leaderPids.indexOf(0)
  if (at >= 0) Atomics.store(leaderPids, at, child.pid ?? 0)
  const gone = (): void => {
    if (!leaders.delete(child)) return
    if (at >= 0) Atomics.store(leaderPids, at, 0)
    if (leaders.size === 0) process.off('exit', killAll)
  }
  child.once('exit', gone)
  child.once('error', () => {
    if (child.pid === undefined) gone()
  })
}

/** Signals a child and all that it has started and that is left of it. */
export function signalGroup(child: ChildProcess, signal: 'SIGTERM' | 'SIGKILL'): void {
  const { pid } = child
  if (pid === undefined) return
  if (!isPosix) {
    child.kill(signal)
    return
  }
  try {
    process.kill(-pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    // Nothing is left of it, or it has no group yet, and nothing beside itself.
    child.kill(signal)
  }
}

function killAll(): void {
  for (const leader of leaders) signalGroup(leader, 'SIGKILL')
}
