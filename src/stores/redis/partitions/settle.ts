/** Settlements over several partitions, and where their follow-ups belong. */
import type { NewJob } from '../../../store/job.ts'
import type { SettleAnswer, Settlement } from '../../../store/worker-calls.ts'
import { pack, type Packed } from '../new-job-encoding.ts'
import { settle } from '../settle.ts'
import type { PackedSettlement } from '../settlement-encoding.ts'
import { elsewhere, locateNeeds } from './insert.ts'
import type { Answered } from './partition.ts'
import type { Spread } from './place.ts'
import { relay } from './relay.ts'

/**
 * Settles jobs where they lie. Follow-ups go along, but for unique ones whose key belongs
 * elsewhere: those go through the outbox.
 */
export async function settleSpread(
  spread: Spread,
  settlements: readonly Settlement[],
): Promise<Answered<SettleAnswer[]>> {
  if (spread.isSingle) return settlePacked(spread, settlements.map(packAll))
  const packed = await packFollowUps(spread, settlements)
  const answer: SettleAnswer[] = []
  let hinted = 0
  for (const part of partsOf(spread, packed)) {
    // A follow-up of the part before must be known to wait where the job that it needs now ends.
    if (hinted !== 0) hinted = await relay(spread, hinted)
    const settled = await settlePacked(spread, part)
    hinted |= settled.hinted
    answer.push(...settled.answer)
  }
  return { hinted, answer }
}

async function settlePacked(
  spread: Spread,
  packed: readonly PackedSettlement[],
): Promise<Answered<SettleAnswer[]>> {
  let hinted = 0
  const answer = await spread.share(
    packed,
    ({ settlement }) => spread.ofToken(settlement.token),
    async (partition, share) => {
      const part = await settle(partition, share)
      hinted |= part.hinted
      return part.answer
    },
  )
  return { hinted, answer }
}

/**
 * Divides a call after each settlement whose follow-ups need a job that ends later in the call in
 * another partition; few do.
 */
function partsOf(spread: Spread, packed: readonly PackedSettlement[]): PackedSettlement[][] {
  const placeOfEnd = new Map(packed.map(({ settlement }, n) => [settlement.id, n]))
  const endsElsewhere = (id: string, from: number): boolean => {
    const n = placeOfEnd.get(id) ?? -1
    const [own, other] = [packed[from], packed[n]]
    if (n <= from || own === undefined || other === undefined) return false
    return spread.ofToken(own.settlement.token) !== spread.ofToken(other.settlement.token)
  }
  const parts: PackedSettlement[][] = [[]]
  for (const [n, one] of packed.entries()) {
    parts.at(-1)?.push(one)
    const needs = one.settlement.followUps.flatMap((job) => job.needs)
    if (needs.some(({ id }) => endsElsewhere(id, n))) parts.push([])
  }
  return parts
}

function packAll(settlement: Settlement): PackedSettlement {
  const { followUps } = settlement
  return { settlement, followUps: followUps.length === 0 ? [] : followUps.map((job) => pack(job)) }
}

async function packFollowUps(
  spread: Spread,
  settlements: readonly Settlement[],
): Promise<PackedSettlement[]> {
  const carried = settlements.map(({ id, token, followUps }) => ({ id, token, jobs: followUps }))
  const packed = await packCarried(spread, carried)
  return settlements.map((settlement, n) => ({ settlement, followUps: packed[n] ?? [] }))
}

/** Jobs that come with something that is said of a running one. */
interface Carrier {
  readonly id: string
  readonly token: number
  readonly jobs: readonly NewJob[]
}

/**
 * Packs jobs for the partition of the one that carries them. The id of a unique one whose key
 * belongs elsewhere goes on with the number of that partition: it goes through the outbox.
 */
export async function packCarried(
  spread: Spread,
  carriers: readonly Carrier[],
): Promise<(readonly Packed[])[]> {
  const known = await locateNeeds(
    spread,
    carriers.flatMap(({ jobs }) => jobs),
  )
  return carriers.map(({ id, token, jobs }) => {
    const own = spread.ofToken(token)
    const places = new Map(known).set(id, own)
    return jobs.map((job): Packed => {
      const partition = job.unique === null ? own : spread.ofText(job.unique.key)
      places.set(job.id, partition)
      const one = pack(job, elsewhere(places, partition))
      return partition === own ? one : { ...one, id: `${one.id}${partition.index}` }
    })
  })
}
