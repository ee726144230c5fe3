/** New jobs as they travel to a script. */
import { ErrandError } from '../../core/errors.ts'
import type { NewJob } from '../../store/job.ts'
import { escape, nullable, whole } from './encoding.ts'
import { isPacked, packedLength, packId } from './ids.ts'
import { packStates } from './states.ts'

/** A job as it travels. */
export interface Packed {
  readonly job: NewJob
  readonly id: string
  readonly spec: string
  readonly body: string
}

/** Packs a job; `elsewhere` tells the partition of a needed job when it is another than the job's own. */
export function pack(job: NewJob, elsewhere?: (need: string) => number | null): Packed {
  const { unique, options } = job
  const id = packId(job.id)
  if (!isPacked(id))
    throw new ErrandError('invalid-option', `${job.id} is no job id: UUIDs in lower case are`)
  const queue = escape(job.queue)
  const fields = [
    escape(job.task),
    queue,
    job.priority === 0 ? '' : String(job.priority),
    whole(job.keepCancelledMs),
    nullable(job.codec),
    options === null ? '' : String(options.length),
    packParent(job.parent),
    nullable(unique?.key ?? null),
    unique === null ? '' : String(packStates(unique.during)),
    whole(job.startWithinMs),
    whole(job.deadlineMs),
  ]
  const isPlain =
    job.priority === 0 &&
    unique === null &&
    job.startWithinMs === null &&
    job.deadlineMs === null &&
    job.runAt === null &&
    job.delayMs <= 0 &&
    job.needs.length === 0 &&
    job.lease === null
  return {
    job,
    id,
    spec: isPlain ? queue : specOf(job, queue, elsewhere),
    body: `${trimmed(fields)}\n${options ?? ''}${job.input}`,
  }
}

function specOf(
  job: NewJob,
  queue: string,
  elsewhere: ((need: string) => number | null) | undefined,
): string {
  const { unique, lease } = job
  const needs = job.needs.map(({ id, onFailed }) => {
    const letter = onFailed === 'run' ? 'r' : 'c'
    const partition = elsewhere?.(id) ?? null
    const need = packId(id).padEnd(packedLength, ' ').slice(0, packedLength)
    return partition === null ? `${need}${letter},` : `${need}${letter.toUpperCase()}${partition},`
  })
  return [
    '',
    queue,
    whole(job.delayMs),
    whole(job.runAt),
    whole(job.startWithinMs),
    whole(job.deadlineMs),
    nullable(unique?.key ?? null),
    whole(unique?.forMs ?? null),
    unique?.onConflict === 'replace' ? 'r' : '',
    lease === null ? '' : nullable(lease.worker),
    whole(lease?.leaseMs ?? null),
    needs.join(''),
    whole(unique?.maxWaitMs ?? null),
  ].join('\t')
}

function trimmed(fields: readonly string[]): string {
  let length = fields.length
  while (length > 0 && fields[length - 1] === '') length -= 1
  return fields.slice(0, length).join('\t')
}

function packParent(parent: string | null): string {
  if (parent === null) return ''
  const packed = packId(parent)
  return isPacked(packed) ? packed : nullable(parent)
}
