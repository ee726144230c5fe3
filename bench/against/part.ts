/** The parts that processes play in a measurement, and what they tell about it. */
import { Peer } from '../kit/peer.ts'
import type { RawCycle } from './raw/index.ts'
import type { Seen, Setup } from './side.ts'

export const ways = ['one', 'hundred', 'many'] as const
/** One awaited at a time, 100 in flight, or 1,000 a call. */
export type Way = (typeof ways)[number]

export type RawPart = {
  readonly role: 'raw'
  readonly cycle: RawCycle
  readonly url: string
  readonly jobs: number
}

export type EnqueuePart = {
  readonly role: 'enqueue'
  readonly setup: Setup
  readonly way: Way
  readonly jobs: number
}

/** What every part of a side that handles a number of jobs is told. */
export interface JobsPart {
  readonly setup: Setup
  readonly jobs: number
}

export type Part =
  | RawPart
  | EnqueuePart
  | (JobsPart & {
      readonly role:
        | 'fill'
        | 'schedule'
        | 'produce'
        | 'drain'
        | 'drain-rounds'
        | 'check'
        | 'claims'
        | 'idle'
        | 'fire-in-turn'
        | 'fire-schedules'
        | 'use-queues-once'
        | 'fill-large'
        | 'drain-large'
        | 'needs'
        | 'follow-ups'
        | 'chain'
        | 'children'
        | 'verbs'
        | 'large-batch'
        | 'fan-in'
    })

/** What a worker ran: how often, and when each job started. */
export interface Drained {
  readonly runs: Uint8Array
  readonly startedAt: Float64Array
  readonly seen: Seen
  /** Microseconds that its process used from the first word to the last. */
  readonly cpu: number
}

const running = new Set<Peer>()

/** Starts a process for a part. */
export function start(part: Part): Peer {
  const peer = new Peer(new URL('role.ts', import.meta.url), part)
  running.add(peer)
  return peer
}

/** Ends what a failed measurement left running. */
export function endAll(): void {
  for (const peer of running) peer.kill()
  running.clear()
}

/** Plays a part that tells one thing, at its end. */
export async function played<T>(part: Part): Promise<T> {
  const peer = start(part)
  const answer = await peer.next<T>()
  await peer.ended()
  return answer
}
