import type { Workload } from '../workload.ts'
import { backlog } from './backlog.ts'
import { bulkVerbs } from './bulk-verbs.ts'
import { drain } from './drain.ts'
import { enqueue } from './enqueue.ts'
import { fleet } from './fleet.ts'
import { fullStore } from './full-store.ts'
import { idle } from './idle.ts'
import { largeInputs } from './large-inputs.ts'
import { memory } from './memory.ts'
import { pickUp } from './pick-up.ts'
import { queuesUsedOnce } from './queues-used-once.ts'
import { start } from './start.ts'

/** All workloads, in the order of the table. */
export const workloads: readonly Workload[] = [
  drain,
  fleet,
  enqueue,
  pickUp,
  backlog,
  fullStore,
  queuesUsedOnce,
  largeInputs,
  bulkVerbs,
  memory,
  idle,
  start,
]
