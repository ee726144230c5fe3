/** Inserts over several partitions: where each new job belongs. */
import type { Advance, InsertAnswer } from '../../../store/intake.ts'
import type { NewJob } from '../../../store/job.ts'
import { workBit, type Announcement, type Hints } from '../hints.ts'
import { insert, type PlacedAdvance } from '../insert.ts'
import { pack, type Packed } from '../new-job-encoding.ts'
import type { Answered, Partition } from './partition.ts'
import type { Spread } from './place.ts'

/** A job with the partition where it belongs. */
interface Placed {
  readonly job: Packed
  readonly partition: Partition
}

/** Adds jobs, each in the partition where it belongs; those of an advance in that of its record. */
export async function insertSpread(
  spread: Spread,
  jobs: readonly NewJob[],
  advances: readonly Advance[],
  hints: Hints,
): Promise<Answered<InsertAnswer[]>> {
  // Of jobs in several partitions others are told when all are there.
  const announcement: Announcement =
    spread.isSingle && jobs.length > 0 ? hints.announce(workBit) : ['', '']
  const told = announcement[0] === '' ? 0 : workBit
  if (spread.isSingle && jobs.length <= mostInserted && advances.length === 0) {
    const packed = jobs.map((job) => pack(job))
    return { ...(await insert(spread.at(0), packed, announcement)), told }
  }
  const advanceOf = new Map(advances.flatMap((one) => one.jobs.map((id) => [id, one])))
  const packed = await packPlaced(spread, jobs, advanceOf)
  const answer = Array.from<InsertAnswer>({ length: jobs.length })
  let hinted = 0
  const shares = Map.groupBy(packed.keys(), (n) => packed[n]?.partition ?? spread.at(0))
  await Promise.all(
    [...shares].map(async ([partition, share]) => {
      for (const call of callsOf(share, jobs, advanceOf)) {
        const some = call.flatMap((n) => packed[n]?.job ?? [])
        const part = await insert(partition, some, announcement, placedIn(some, advanceOf))
        hinted |= part.hinted
        for (const [n, place] of call.entries()) answer[place] = part.answer[n] as InsertAnswer
      }
    }),
  )
  return { hinted, told, answer }
}

/** The most jobs of one script, but for those of one advance, which are never divided. */
const mostInserted = 1_000

type AdvanceOf = ReadonlyMap<string, Advance>

/**
 * Divides jobs, by their places in the batch, into calls; those of an advance come with the first
 * of them.
 */
function callsOf(
  places: readonly number[],
  jobs: readonly NewJob[],
  advanceOf: AdvanceOf,
): number[][] {
  if (places.length <= mostInserted) return [[...places]]
  const units = Map.groupBy(places, (n) => advanceOf.get(jobs[n]?.id ?? '') ?? n)
  const calls: number[][] = []
  for (const unit of units.values()) {
    const last = calls.at(-1)
    if (last !== undefined && last.length + unit.length <= mostInserted) last.push(...unit)
    else calls.push([...unit])
  }
  return calls.map((call) => call.sort((a, b) => a - b))
}

/** The advances of the jobs of one call, with the places of their jobs in it. */
function placedIn(jobs: readonly Packed[], advanceOf: AdvanceOf): PlacedAdvance[] {
  if (advanceOf.size === 0) return []
  const places = new Map<Advance, number[]>()
  for (const [n, { job }] of jobs.entries()) {
    const advance = advanceOf.get(job.id)
    if (advance === undefined) continue
    const found = places.get(advance)
    if (found === undefined) places.set(advance, [n])
    else found.push(n)
  }
  return [...places].map(([advance, found]) => ({ advance, places: found }))
}

async function packPlaced(
  spread: Spread,
  jobs: readonly NewJob[],
  advanceOf: AdvanceOf,
): Promise<Placed[]> {
  if (spread.isSingle) return jobs.map((job) => ({ job: pack(job), partition: spread.at(0) }))
  const places = await locateNeeds(spread, jobs)
  const placed = jobs.map((job) => {
    const advance = advanceOf.get(job.id)
    const partition =
      advance === undefined ? placeOf(spread, job, places) : spread.ofText(advance.key)
    places.set(job.id, partition)
    return { job, partition }
  })
  return placed.map(({ job, partition }) => ({
    job: pack(job, elsewhere(places, partition)),
    partition,
  }))
}

/** Where jobs with needs and what they need lie already. */
export async function locateNeeds(
  spread: Spread,
  jobs: readonly NewJob[],
): Promise<Map<string, Partition>> {
  const dependants = jobs.filter((job) => job.needs.length > 0)
  return spread.locate(dependants.flatMap((job) => [job.id, ...job.needs.map(({ id }) => id)]))
}

function placeOf(spread: Spread, job: NewJob, places: ReadonlyMap<string, Partition>): Partition {
  if (job.unique !== null) return spread.ofText(job.unique.key)
  const [need] = job.needs
  if (need === undefined) return spread.ofId(job.id)
  return places.get(job.id) ?? places.get(need.id) ?? spread.ofId(need.id)
}

/** Says in which other partition a needed job lies. */
export function elsewhere(
  places: ReadonlyMap<string, Partition>,
  own: Partition,
): (need: string) => number | null {
  return (need) => {
    const partition = places.get(need)
    return partition === undefined || partition === own ? null : partition.index
  }
}
