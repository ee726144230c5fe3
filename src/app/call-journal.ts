/**
 * What a job keeps of its calls, among the durable records of its runs: one record for each, by the
 * call's name. Names of other parts of a journal, such as steps, begin with other words than `call/`.
 */
import { createHash } from 'node:crypto'
import { canonicalJson } from '../core/json.ts'
import { isFinal, type FinalState } from '../core/job.ts'
import type { StoredJob } from '../store/job.ts'
import type { Store } from '../store/store.ts'

/** One call, as it is recorded. */
export interface CallEntry {
  /** The task that was called, by its name. */
  readonly task: string
  /** A hash of the input, so that a later run may tell whether it makes the same call. */
  readonly input: string
  /** The called job. */
  readonly job: string
  /** Whether the called job is known to be stored. */
  readonly made: boolean
  /** Whether somebody else enqueued that job: it held the unique key already. */
  readonly shared: boolean
  /** How often the call was made anew, since it had failed before an operator's retry. */
  readonly round: number
  /** The life of the calling job, which each operator's retry begins anew, in which that was. */
  readonly life: number
  /** Null until the called job has ended. */
  readonly end: CallEnd | null
}

/** How a called job ended: what is needed of it to return its output or throw its error. */
export type CallEnd = Pick<
  StoredJob,
  'task' | 'id' | 'codec' | 'output' | 'reason' | 'attempts'
> & {
  readonly state: FinalState
}

/** All that a job has kept of its calls. */
export interface KeptCalls {
  readonly life: number
  readonly entries: Map<string, CallEntry>
}

const prefix = 'call/'
/** Records of a page: each may hold an output of a megabyte. */
const pageRecords = 50

/** The record that counts the job's lives; its name is that of no call. */
export const lifeRecord: string = prefix

/** The name of a call that was given an id, or of the n-th one of a task. */
export function callName(
  of: { readonly id: string } | { readonly task: string; n: number },
): string {
  return 'id' in of ? `${prefix}#${of.id}` : `${prefix}${of.n}/${of.task}`
}

/** A hash by which two inputs are compared. Throws `not-json`. */
export function hashOfInput(input: unknown): string {
  return createHash('sha256').update(canonicalJson(input)).digest('base64url')
}

/** What is recorded of an end. Null for a job that has not ended. */
export function endOf(job: StoredJob): CallEnd | null {
  const { id, task, state, codec, output, reason, attempts } = job
  return isFinal(state) ? { id, task, state, codec, output, reason, attempts } : null
}

/** Reads what a job has kept of its calls. */
export async function readCalls(store: Store, id: string): Promise<KeptCalls> {
  const entries = new Map<string, CallEntry>()
  let life = 0
  for (let after: string | null = null; ;) {
    const page = await store.recorded({ id, after, limit: pageRecords })
    for (const { name, text } of page) {
      if (name === lifeRecord) life = Number(text)
      else if (name.startsWith(prefix)) entries.set(name, JSON.parse(text) as CallEntry)
    }
    if (page.length < pageRecords) return { life, entries }
    after = page.at(-1)?.name ?? null
  }
}

/** Whether a job waited for one that it has called when its last run was cut off. */
export async function hasOpenCalls(store: Store, id: string): Promise<boolean> {
  const { life, entries } = await readCalls(store, id)
  return [...entries.values()].some((entry) => entry.end === null && entry.life === life)
}

/** The jobs that a job has called, and of which it knows no end. */
export async function openCalls(store: Store, id: string): Promise<readonly string[]> {
  const { entries } = await readCalls(store, id)
  return [...entries.values()]
    .filter(({ end, shared }) => end === null && !shared)
    .map(({ job }) => job)
}
