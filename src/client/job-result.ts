/** What a job's end means to somebody who waits for its result. */
import { formatMs } from '../core/duration.ts'
import { ErrandError } from '../core/errors.ts'
import { fromJson, type ReadJson } from '../core/json.ts'
import type { KeptError } from '../core/job.ts'
import type { StoredJob } from '../store/job.ts'
import type { App } from '../app/app.ts'
import type { AttemptScope } from '../app/attempt-scope.ts'
import { decodePayload } from '../app/payload.ts'
import { decodeErrors } from './job-record.ts'

/** What is looked at of a job's end. */
export type Ended = Pick<
  StoredJob,
  'id' | 'task' | 'state' | 'codec' | 'output' | 'reason' | 'attempts'
>

/** The output of a completed job. Throws `job-failed`, `job-cancelled` or `job-discarded` for other ends. */
export function outputOf(app: App, job: Ended, json: ReadJson = fromJson): unknown {
  const { id, task, reason, codec, output } = job
  switch (job.state) {
    case 'completed':
      return output === null ? undefined : decodePayload(app, output, codec, 'output', json)
    case 'failed':
      throw failed(app, job)
    case 'cancelled':
      throw new ErrandError('job-cancelled', `${task} ${id} was cancelled${because(reason)}.`, {
        details: { id, reason },
      })
    case 'discarded':
      throw new ErrandError('job-discarded', `${task} ${id} was discarded${because(reason)}.`, {
        details: { id, reason },
      })
    case 'blocked':
    case 'scheduled':
    case 'ready':
    case 'running':
      throw new ErrandError('result-timeout', `${task} ${id} has not ended: it is ${job.state}.`, {
        details: { id, state: job.state },
      })
  }
}

/** The error for a job that nobody knows. `known` tells whether it was seen in the store, or stored by this process. */
export function missing(id: string, known: boolean): ErrandError {
  return known
    ? new ErrandError(
        'result-gone',
        `Job ${id} is gone: it ended and its retention or a taker removed it, or an operator removed it.`,
        { details: { id } },
      )
    : new ErrandError(
        'job-missing',
        `No job ${id} is known: it was never stored here, or was removed, or has outlived its retention.`,
        { details: { id } },
      )
}

/** The error for a wait that reached its deadline, with what is known of why. */
export function timedOut(
  id: string,
  last: StoredJob | null,
  waitedMs: number,
  scope: AttemptScope | undefined,
  cause: unknown,
): ErrandError {
  const why =
    last === null
      ? `Job ${id} could not be read: the store did not answer within ${formatMs(waitedMs)}.`
      : standing(last, waitedMs)
  const starved =
    scope !== undefined && last !== null && last.queue === scope.job.queue
      ? ` It was awaited inside ${scope.job.task} ${scope.job.id}, which is in the same queue: parents that await children in their own queue may hold all slots. Await them by job.call(), which gives the slot back meanwhile.`
      : ''
  return new ErrandError('result-timeout', why + starved, {
    details: { id, state: last?.state ?? null, queue: last?.queue ?? null },
    ...(cause === undefined ? {} : { cause }),
  })
}

function standing(job: StoredJob, waitedMs: number): string {
  const still = `${job.task} ${job.id} is still ${job.state} after ${formatMs(waitedMs)}`
  switch (job.state) {
    case 'blocked':
      return `${still}: other jobs that it needs have not ended.`
    case 'scheduled': {
      const last = job.counters.failures === 0 ? '' : ` after ${job.counters.failures} failures`
      return `${still}: it is due${last} at ${new Date(job.dueAt).toISOString()}.`
    }
    case 'ready':
      return `${still}; no worker may be serving queue ${job.queue}, or its workers are busy, or it is paused.`
    case 'running':
      return `${still}, by worker ${job.worker ?? 'unknown'}.`
    case 'completed':
    case 'failed':
    case 'cancelled':
    case 'discarded':
      return `${job.task} ${job.id} is ${job.state}, but could not be taken within ${formatMs(waitedMs)}.`
  }
}

function failed(app: App, job: Ended): ErrandError {
  const { id, task, reason } = job
  const errors = decodeErrors(app, job)
  const last = errors.at(-1)
  const why = last === undefined ? '' : `: ${last.type}: ${last.message}`
  return new ErrandError('job-failed', `${task} ${id} failed (${reason ?? 'error'})${why}`, {
    details: { id, reason, errors },
    ...(last === undefined ? {} : { cause: rebuild(last) }),
  })
}

/** A plain error that looks like the one that the handler threw. */
function rebuild({ type, message, stack, code }: KeptError): Error {
  const error = new Error(message)
  Object.defineProperty(error, 'name', { value: type, configurable: true, writable: true })
  error.stack = stack ?? `${type}: ${message}`
  return code === null ? error : Object.assign(error, { code })
}

function because(reason: string | null): string {
  return reason === null ? '' : `: ${reason}`
}
