/**
 * Claims over several partitions: each call begins with another one, and goes on to the rest while
 * it has room.
 */
import { handedBytes } from '../../../core/job.ts'
import type { Claimed, ClaimRequest, RescueRequest, NextDue } from '../../../store/worker-calls.ts'
import type { ClaimedJob } from '../../../store/job.ts'
import { claim } from '../claim.ts'
import { claimedBefore } from '../claims-by-id.ts'
import { rescue, sizeOf } from '../rescue.ts'
import type { Answered, Partition } from './partition.ts'
import type { Spread } from './place.ts'
import { performance } from '../../../core/timers.ts'

/** A partition that failed is left out for so long by calls that have got jobs from others. */
const awayMs = 1_000

/** Whose turn it is to be asked first, and who cannot be asked. */
export class Turns {
  #turn = 0
  readonly #awayUntil = new Map<Partition, number>()

  /** The partitions in the order of this turn, those that failed lately behind the others. */
  next(spread: Spread): readonly Partition[] {
    const count = spread.all.length
    const first = this.#turn++ % count
    const inTurn = Array.from({ length: count }, (_, n) => spread.at((first + n) % count))
    return inTurn.toSorted((a, b) => Number(this.#isAway(a)) - Number(this.#isAway(b)))
  }

  /**
   * Asks a partition. When it fails and the call has got jobs from others, the answer is null:
   * these jobs are leased to the caller, who would not hear of them if the call failed.
   */
  async ask<T>(partition: Partition, hasJobs: boolean, call: () => Promise<T>): Promise<T | null> {
    if (hasJobs && this.#isAway(partition)) return null
    try {
      const answer = await call()
      this.#awayUntil.delete(partition)
      return answer
    } catch (error) {
      this.#awayUntil.set(partition, performance.now() + awayMs)
      if (hasJobs) return null
      throw error
    }
  }

  #isAway(partition: Partition): boolean {
    return performance.now() < (this.#awayUntil.get(partition) ?? 0)
  }
}

/** Leases ready jobs, in order within a partition. */
export async function claimSpread(
  spread: Spread,
  turns: Turns,
  request: ClaimRequest,
): Promise<Answered<Claimed & NextDue>> {
  if (spread.isSingle) return claim(spread.at(0), request)
  const before = request.id === null ? null : await claimedSpread(spread, request.id)
  if (before?.answer) return { hinted: before.hinted, answer: before.answer }
  const jobs: ClaimedJob[] = []
  let hinted = before?.hinted ?? 0
  let now = 0
  let nextDueMs: number | null = null
  let { maxLosses } = request
  let alone = false
  let cut = false
  for (const partition of turns.next(spread)) {
    const left = leftOf(request, jobs)
    const ask = alone || left.limit <= 0 ? { ...left, limit: 0 } : left
    const call = (): Promise<Answered<Claimed & NextDue>> => claim(partition, { ...ask, maxLosses })
    const answered = await turns.ask(partition, jobs.length > 0, call)
    if (answered === null) break
    const { hinted: bits, answer } = answered
    hinted |= bits
    now = Math.max(now, answer.now)
    nextDueMs = least(nextDueMs, answer.nextDueMs)
    jobs.push(...answer.jobs)
    // A suspect comes alone; once other jobs were taken, none may come.
    if (answer.jobs.some((job) => job.startedAt !== null)) alone = true
    if (jobs.length > 0) maxLosses = null
    cut = sizeOf(jobs) >= handedBytes || answer.cut
    if (cut || (request.limit > 0 && jobs.length >= request.limit)) break
  }
  return { hinted, answer: { now, jobs, cut, nextDueMs } }
}

/**
 * What a claim of this id got from all partitions that is still under its leases; null when none
 * remembers it.
 */
async function claimedSpread(
  spread: Spread,
  id: string,
): Promise<Answered<(Claimed & NextDue) | null>> {
  const asked = await Promise.allSettled(
    spread.all.map((partition) => claimedBefore(partition, id)),
  )
  // What a partition that is away remembers comes back with the end of its leases, as the claims of
  // one that died.
  const parts = asked.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
  const answers = parts.flatMap(({ answer }) => (answer === null ? [] : [answer]))
  const hinted = parts.reduce((sum, part) => sum | part.hinted, 0)
  if (answers.length === 0) return { hinted, answer: null }
  return {
    hinted,
    answer: {
      now: Math.max(...answers.map(({ now }) => now)),
      jobs: answers.flatMap(({ jobs }) => jobs),
      cut: false,
      nextDueMs: answers.map(({ nextDueMs }) => nextDueMs).reduce(least, null),
    },
  }
}

/** What a request has left to ask for. */
function leftOf(request: ClaimRequest, jobs: readonly ClaimedJob[]): ClaimRequest {
  if (jobs.length === 0) return request
  const taken = new Map<string, number>()
  for (const { queue } of jobs) taken.set(queue, (taken.get(queue) ?? 0) + 1)
  const named = new Set(request.queues.map(({ name }) => name))
  const others = [...taken].filter(([name]) => !named.has(name))
  return {
    ...request,
    limit: request.limit - jobs.length,
    queues: [
      ...request.queues.map(({ name, limit }) => ({ name, limit: limit - (taken.get(name) ?? 0) })),
      // Other queues that gave some already are named from now on, with what is left of theirs.
      ...others.map(([name, count]) => ({ name, limit: request.others - count })),
    ],
  }
}

/** Leases to the caller what was lost and what waited too long, wherever it lies. */
export async function rescueSpread(
  spread: Spread,
  turns: Turns,
  request: RescueRequest,
): Promise<Answered<Claimed>> {
  const jobs: ClaimedJob[] = []
  let hinted = 0
  let now = 0
  let cut = false
  for (const partition of turns.next(spread)) {
    const limit = request.limit - jobs.length
    const call = (): Promise<Answered<Claimed>> => rescue(partition, { ...request, limit })
    const answered = await turns.ask(partition, jobs.length > 0, call)
    if (answered === null) break
    const { hinted: bits, answer } = answered
    hinted |= bits
    now = Math.max(now, answer.now)
    jobs.push(...answer.jobs)
    cut = sizeOf(jobs) >= handedBytes || answer.cut
    if (cut || jobs.length >= request.limit) break
  }
  return { hinted, answer: { now, jobs, cut } }
}

/** The smaller of two times of which either may be missing. */
export function least(a: number | null, b: number | null): number | null {
  if (a === null || b === null) return a ?? b
  return Math.min(a, b)
}
