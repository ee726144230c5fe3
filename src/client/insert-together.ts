/** Jobs that are stored in one step, all or none. */
import { ErrandError } from '../core/errors.ts'
import { setTimeout } from '../core/timers.ts'
import { answered } from '../loops/call-deadline.ts'
import type { Advance, Inserted } from '../store/intake.ts'
import type { NewJob } from '../store/job.ts'
import type { Store } from '../store/store.ts'
import { isStored } from './insert-batch.ts'

/** How often an insert is tried while a transaction of a user holds what it needs, and the pause between, in ms. */
const held = { tries: 100, pauseMs: 100 } as const

/**
 * Stores jobs as those of an advance; on Redis its key says where they lie. `'stale'` where the record is elsewhere and a
 * job of them is not known. Rejects with `store-busy` where a user's transaction holds on.
 */
export async function insertStep(
  store: Store,
  { key, from, to }: Pick<Advance, 'key' | 'from' | 'to'>,
  jobs: readonly NewJob[],
  tx: unknown,
): Promise<readonly Inserted[] | 'stale'> {
  const advance = [{ key, from, to, jobs: jobs.map((job) => job.id) }]
  for (let tried = 0; tried < held.tries; tried += 1) {
    const call = store.insert(jobs, tx === undefined ? { advance } : { advance, tx })
    const answers = await answered(store.clock, call, { code: 'unknown-outcome' })
    if (answers.every(isStored)) return answers
    if (answers.some(({ status }) => status === 'stale')) return 'stale'
    await new Promise((resolve) => setTimeout(resolve, held.pauseMs))
  }
  throw new ErrandError(
    'store-busy',
    'A transaction that is still open holds what these jobs need.',
  )
}

/** Stores jobs whose record is none before and after. Rejects with `store-busy` where it is not, too. */
export async function insertTogether(
  store: Store,
  key: string,
  jobs: readonly NewJob[],
  tx: unknown,
): Promise<readonly Inserted[]> {
  const inserted = await insertStep(store, { key, from: null, to: null }, jobs, tx)
  if (inserted !== 'stale') return inserted
  throw new ErrandError('store-busy', 'Jobs of the same id are being stored by another call.')
}

/** Stores a job with those that run before it, which end with it; resolves with what became of it. */
export async function insertLast(
  store: Store,
  job: NewJob,
  jobs: readonly NewJob[],
  tx: unknown,
): Promise<Inserted> {
  // On Redis a unique job lies where its key says.
  const key = job.unique?.key ?? `before/${job.id}`
  const last = (await insertTogether(store, key, jobs, tx)).at(-1)
  if (last !== undefined) return last
  throw new ErrandError('store-corrupt', 'The store did not tell what became of a job.')
}
