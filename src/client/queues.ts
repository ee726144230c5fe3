/** The operators' calls on queues. */
import type { BulkOptions, Tally } from './jobs.ts'
import type { RemoveAnswer } from '../store/operators.ts'
import { readQueueName } from '../core/read.ts'
import type { JobState } from '../core/job.ts'
import type { Client } from './client.ts'
import type { Jobs } from './jobs.ts'

export interface QueueInfo {
  readonly name: string
  readonly paused: boolean
  readonly counts: Readonly<Partial<Record<JobState, number>>>
}

export interface Queues {
  list(): Promise<readonly QueueInfo[]>
  /** Stops claims from these queues, in every process and in those that start later. Running jobs go on. */
  pause(...queues: readonly string[]): Promise<void>
  resume(...queues: readonly string[]): Promise<void>
  /** Removes all waiting jobs of a queue. */
  purge(queue: string, options?: BulkOptions): Promise<Tally<RemoveAnswer>>
}

/** Makes `errand.queues`. */
export function createQueues(client: Client, jobs: Jobs): Queues {
  return {
    async list() {
      const [queues, counts] = await client.call((store) =>
        Promise.all([store.queues(), store.counts()]),
      )
      const found = new Map<
        string,
        QueueInfo & { readonly counts: Partial<Record<JobState, number>> }
      >()
      for (const { name, paused } of queues) found.set(name, { name, paused, counts: {} })
      for (const { queue, state, count } of counts) {
        const info = found.get(queue) ?? { name: queue, paused: false, counts: {} }
        info.counts[state] = count
        found.set(queue, info)
      }
      return [...found.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1))
    },

    async pause(...queues) {
      checkNames(queues, 'queues.pause()')
      if (queues.length > 0) await client.call((store) => store.pause(queues))
    },

    async resume(...queues) {
      checkNames(queues, 'queues.resume()')
      if (queues.length > 0) await client.call((store) => store.resume(queues))
    },

    async purge(queue, options) {
      checkNames([queue], 'queues.purge()')
      return jobs.remove({ queue, state: ['blocked', 'scheduled', 'ready'] }, options)
    },
  }
}

function checkNames(queues: readonly string[], where: string): void {
  for (const name of queues) readQueueName(name, `What ${where} takes`)
}
