/** What scripts that claim return. */
import type { Claimed, NextDue } from '../../store/worker-calls.ts'
import { lastTime } from '../unreadable.ts'
import { readNeeded, type NeededReply } from './outputs.ts'
import { packedLength, unpackId } from './ids.ts'
import type { Answered } from './partitions/partition.ts'
import { readClaimed, readLease } from './row-readers.ts'

export type ClaimReply = readonly [
  hinted: number,
  now: number,
  nextDueMs: number,
  token: string,
  startedAt: string,
  ids: string,
  records: readonly string[],
  /** Not there where sizes were not counted. */
  cut?: number,
  /** The leases as they are now, of a claim that is repeated. */
  leases?: readonly string[] | null,
  /** What is handed out beside inputs, of the jobs that are handed anything. */
  needed?: readonly NeededReply[],
]

/** Reads the jobs of a claim. */
export function readClaim(reply: ClaimReply): Answered<Claimed & NextDue> {
  const [hinted, now, nextDueMs, token, startedAt, ids, records, cut, leases, needed] = reply
  const fresh = {
    token: Number(token),
    startedAt: startedAt === '' ? null : Number(startedAt),
    cancelAsked: false,
  }
  const byPlace = new Map(needed?.map((one) => [one[0] - 1, readNeeded(one)]))
  const jobs = records.map((record, n) => {
    const lease = leases?.[n]
    const leased = lease === undefined ? fresh : readLease(lease)
    const job = readClaimed(unpackId(ids, n * packedLength), record, leased, handedAsReady)
    const found = byPlace.get(n)
    return found === undefined ? job : { ...job, needed: found }
  })
  return { hinted, answer: { now, jobs, cut: cut === 1, nextDueMs: readNextDue(nextDueMs) } }
}

const handedAsReady = { why: 'ready', lostBy: null } as const

/** Milliseconds until the next job is due; null for none, and for a time that cannot be read. */
function readNextDue(ms: number): number | null {
  return ms < 0 || ms > lastTime ? null : ms
}
