/** How the process of a worker ends that an operator, or the end of its burst, has ended. */
import type { Events } from '../observe/events.ts'
import { ownProcess } from '../loops/own-process.ts'
import type { ExitCode } from './exit.ts'

/** Why a worker ended by itself. After `restart` it is to be started again, after the others not. */
export type Ending = Events['worker-ending']['why']

/**
 * Tells a supervisor that this process is not to be started again; resolves when that is on its way,
 * or there is nobody to tell. A supervisor of Errand starts again whatever ends without it.
 */
export function tellSupervisor(ending: Ending): Promise<void> {
  return new Promise((resolve) => {
    if (ending === 'restart' || ownProcess() === null || !process.connected) return resolve()
    // A supervisor that has gone needs to know no more.
    process.send?.({ errand: { kind: 'done' } }, undefined, {}, () => resolve())
  })
}

/** The exit code of a restart, for a supervisor that starts again only what failed. */
export function restartCode(): ExitCode {
  return ownProcess() === null ? 5 : 0
}
