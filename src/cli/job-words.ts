/** Jobs in words: how their states look and what there is to say about each. */
import type { JobRecord } from '../client/job-record.ts'
import type { JobState } from '../core/job.ts'
import { oneLine } from '../core/words.ts'
import { paint } from './terminal.ts'
import { between, fromNow } from './times.ts'

const colours: Readonly<Record<JobState, Parameters<typeof paint>[0]>> = {
  blocked: 'dim',
  scheduled: 'yellow',
  ready: 'blue',
  running: 'cyan',
  completed: 'green',
  failed: 'red',
  cancelled: 'magenta',
  discarded: 'dim',
}

/** A state in its colour. */
export function stateWord(state: JobState): string {
  return paint(colours[state], state)
}

/** What matters most about a job in its state. */
export function remarkOn(job: JobRecord, now: number = Date.now()): string {
  const lastError = job.errors.at(-1)
  const error = lastError === undefined ? '' : `${lastError.type}: ${oneLine(lastError.message)}`
  switch (job.state) {
    case 'blocked':
      return 'waits for other jobs'
    case 'scheduled':
      return joined(
        `due ${fromNow(job.dueAt, now)}`,
        job.deferrals > 0 ? 'no worker knows its task' : error,
      )
    case 'ready':
      return error
    case 'running':
      return joined(
        job.cancelAsked ? 'asked to end' : '',
        job.startedAt === null ? '' : `for ${between(job.startedAt, new Date(now))}`,
        job.progress === null || job.progress === undefined ? '' : JSON.stringify(job.progress),
      )
    case 'completed':
      return joined(
        job.finishedAt === null ? '' : `ended ${fromNow(job.finishedAt, now)}`,
        job.startedAt === null || job.finishedAt === null
          ? ''
          : `took ${between(job.startedAt, job.finishedAt)}`,
      )
    case 'failed':
      return joined(job.reason === 'error' ? '' : (job.reason ?? ''), error)
    case 'cancelled':
    case 'discarded':
      return job.reason ?? ''
  }
}

function joined(...parts: readonly string[]): string {
  return parts.filter((part) => part !== '').join(' · ')
}
