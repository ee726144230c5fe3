/** New jobs as they travel to a script. */
import { ErrandError } from '../../core/errors.ts'
import type { Entry, Hold, NewJob } from '../../store/job.ts'
import { escape, nullable, whole } from './encoding.ts'
import { isPacked, packedLength, packId } from './ids.ts'
import { packFields } from './job-fields.ts'

/** A job as it travels: see `intakeLua`. */
export interface Packed {
  readonly job: NewJob
  readonly id: string
  readonly spec: string
  readonly body: string
}

/**
 * Packs a job; `elsewhere` returns the partition of a needed job when it is another than the job's
 * own.
 */
export function pack(job: NewJob, elsewhere?: (need: string) => number | null): Packed {
  const id = packId(job.id)
  if (!isPacked(id))
    throw new ErrandError('invalid-option', `${job.id} is no job id: UUIDs in lower case are`)
  const queue = escape(job.queue)
  const comesNow =
    job.priority === 0 &&
    job.unique === null &&
    job.startWithinMs === null &&
    job.deadlineMs === null &&
    job.runAt === null &&
    job.delayMs <= 0 &&
    job.needs.length === 0 &&
    job.holds === undefined &&
    job.entry === null &&
    (job.headStartMs ?? 0) === 0
  return {
    job,
    id,
    spec: comesNow
      ? job.group === null
        ? queue
        : `${queue}\t${nullable(job.group)}`
      : specOf(job, queue, elsewhere),
    body: packFields(job),
  }
}

/** Whether the quick script may take a job: it is due now. */
export function isPlain({ spec }: Packed): boolean {
  return !spec.startsWith('\t')
}

function specOf(
  job: NewJob,
  queue: string,
  elsewhere: ((need: string) => number | null) | undefined,
): string {
  const { unique } = job
  return [
    '',
    queue,
    whole(job.delayMs),
    whole(job.runAt),
    whole(job.startWithinMs),
    whole(job.deadlineMs),
    nullable(unique?.key ?? null),
    whole(unique?.forMs ?? null),
    unique === null ? '' : replaceLetters[unique.onConflict],
    whole(unique?.maxWaitMs ?? null),
    job.needs.map((need) => packNeed(need, elsewhere?.(need.id) ?? null)).join(''),
    ...[...packEntry(job.entry), '', '', '', ''].slice(0, 4),
    (job.holds ?? []).map((hold) => packNeed(hold, null)).join(''),
  ].join('\t')
}

const replaceLetters = { skip: '', replace: 'r', 'replace-in-queue': 'q' } as const

/** The letters of what becomes of a job when its need failed: see `endingsLua`. */
const needLetters = { cancel: 'c', fail: 'f', run: 'r' } as const

function packNeed({ id, onFailed, output }: Hold, partition: number | null): string {
  const need = packId(id).padEnd(packedLength, ' ').slice(0, packedLength)
  const letter = needLetters[onFailed]
  const wants = output === undefined ? '' : `-${output[0]}`
  return partition === null
    ? `${need}${letter}${wants},`
    : `${need}${letter.toUpperCase()}${partition}${wants},`
}

function packEntry(entry: Entry | null): readonly string[] {
  switch (entry?.kind) {
    case undefined:
      return []
    case 'running':
      return ['r', nullable(entry.worker), whole(entry.leaseMs)]
    case 'failed':
      return ['f', nullable(entry.reason), whole(entry.keepMs), nullable(entry.attempt)]
  }
}
