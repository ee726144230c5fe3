import type { Workload } from '../workload.ts'
import { backlog } from './backlog.ts'
import { bulkVerbs } from './bulk-verbs.ts'
import { chain, children } from './chain.ts'
import { drain } from './drain.ts'
import { enqueue } from './enqueue.ts'
import { fleet } from './fleet.ts'
import { followUps } from './follow-ups.ts'
import { fullStore } from './full-store.ts'
import { httpEnqueue } from './http-enqueue.ts'
import { idle } from './idle.ts'
import { isolation } from './isolation.ts'
import { largeInputs } from './large-inputs.ts'
import { largeRuns } from './large-runs.ts'
import { memory } from './memory.ts'
import { needs } from './needs.ts'
import { pickUp } from './pick-up.ts'
import { processes } from './processes.ts'
import { queuesUsedOnce } from './queues-used-once.ts'
import { rabbitmqInAndOut } from './rabbitmq.ts'
import { remote } from './remote.ts'
import { schedules } from './schedules.ts'
import { start } from './start.ts'
import { watched } from './watched.ts'

/** All workloads, in the order of the table. */
export const workloads: readonly Workload[] = [
  drain,
  watched,
  fleet,
  enqueue,
  httpEnqueue,
  pickUp,
  backlog,
  fullStore,
  needs,
  followUps,
  chain,
  children,
  queuesUsedOnce,
  largeInputs,
  bulkVerbs,
  schedules,
  largeRuns,
  rabbitmqInAndOut,
  remote,
  processes,
  isolation,
  memory,
  idle,
  start,
]
