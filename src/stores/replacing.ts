/** Which job that holds a unique key a new one replaces. */
import type { NewJob } from '../store/job.ts'

/** Whether a job replaces the waiting holder of its key, which is in a queue. */
export function mayReplace({ unique, queue }: NewJob, held: string): boolean {
  switch (unique?.onConflict) {
    case 'replace':
      return true
    case 'replace-in-queue':
      return held === queue
    case 'skip':
    case undefined:
      return false
  }
}
