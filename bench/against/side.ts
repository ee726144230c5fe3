/** What is measured side by side: Errand and its peers, each behind the same few verbs. */
import type { Mail } from '../kit/job.ts'

/** Isolated handlers at a time. */
export const isolatedSlots = 4

export type PeerName = 'graphile-worker' | 'pg-boss' | 'bullmq'

/** Which side, where, and how it is set up. Peers always get their best settings for the purpose. */
export interface Setup {
  readonly side: 'errand' | PeerName
  readonly url: string
  readonly tuning: 'best' | 'default'
  /** Whether finished jobs are kept, with their results where the side has any. */
  readonly history: 'kept' | 'none'
  /** Peers need other settings for throughput than for a quick start. */
  readonly purpose: 'throughput' | 'latency'
  /** Runs handlers in threads or processes of their own, four at a time. */
  readonly isolate?: 'thread' | 'process'
}

/** What a side can say of its calls so far; null where that cannot be seen. */
export type Seen = {
  /** When the last job was settled. */
  readonly settledAt: number
  readonly claims: number
  readonly settles: number
} | null

export interface Side {
  /** Makes tables, queues and the like. */
  setup(): Promise<void>
  enqueue(mail: Mail): Promise<unknown>
  /** Enqueues in one call. */
  enqueueMany(mails: readonly Mail[]): Promise<unknown>
  /** How many jobs wait. */
  waiting(): Promise<number>
  /** Starts a worker whose handler does nothing but tell; answers what stops it once all that it ran is settled. */
  work(ran: (id: number) => void): Promise<() => Promise<void>>
  /** What can be seen of its calls. */
  seen(): Seen
  /** Throws unless the jobs that ran left what they should: nothing waiting, and history if it is kept. */
  check(jobs: number): Promise<void>
  close(): Promise<void>
}
