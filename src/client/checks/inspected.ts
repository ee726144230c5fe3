/** What the checks look at: what `createErrand` returns, or a part of it. */
import type { Store } from '../../store/store.ts'
import type { Jobs } from '../jobs.ts'
import type { Queues } from '../queues.ts'
import type { WorkerInfo } from '../workers.ts'

export interface Inspected {
  readonly store: Store
  readonly jobs: Jobs
  readonly queues: Queues
  readonly workers: { list(): Promise<readonly WorkerInfo[]> }
}
