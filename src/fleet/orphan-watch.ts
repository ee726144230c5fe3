/**
 * Notices in a child process that its parent is gone, also while the child's event loop is blocked:
 * a thread waits for the end of a pipe that the parent holds open and never writes to.
 *
 * watching → warned (the pipe has ended: what runs is to be aborted) → killed, with its whole group and
 * with those of the processes that it has started, if the process still lives `leftMs` later.
 */
import { Worker as Thread } from 'node:worker_threads'
import { ErrandError } from '../core/errors.ts'
import { ownModule } from '../core/own-module.ts'
import { leaderPids } from '../worker/process-group.ts'

/** How long an orphan may take to end by itself. */
export const orphanMs = 1_500

/** What the thread is given. */
export interface OrphanWatch {
  /** The pipe. */
  readonly fd: number
  readonly leftMs: number
  /** Whether the process is in a group of its own. */
  readonly hasGroup: boolean
  /** The leaders of groups that it has started, in shared memory; 0 for none. */
  readonly leaders: Int32Array
}

/** Watches; `orphaned` is called once, if the event loop turns. Rejects when no thread can start. */
export async function watchParent(
  given: Pick<OrphanWatch, 'fd' | 'hasGroup'>,
  orphaned: () => void,
): Promise<void> {
  const file = ownModule('fleet/orphan-thread')
  if (file === null) throw new ErrandError('no-thread', 'Errand is inside a bundle.')
  const thread = new Thread(new URL(file), {
    workerData: { ...given, leftMs: orphanMs, leaders: leaderPids } satisfies OrphanWatch,
    // Whatever the program loads first is no business of this thread.
    execArgv: [],
    env: {},
    resourceLimits: { maxOldGenerationSizeMb: 16 },
  })
  thread.unref()
  thread.once('message', orphaned)
  await new Promise<void>((resolve, reject) => {
    thread.once('online', resolve)
    thread.once('error', reject)
  })
}
