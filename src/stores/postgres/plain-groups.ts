/** Which plain ends are filed together. */
import type { Finish } from '../../store/worker-calls.ts'
import { packCounters } from '../counters.ts'
import type { LeasedJob } from './claimed-numbers.ts'

/** Most groups of jobs that are filed together in one call. */
const mostGroups = 4
/** Fewer than this are filed one by one. */
const smallestBatch = 8
/** The longest output, in characters, that is filed with others. */
const longestInBatch = 1_000
/** How long ago a run may have begun, in ms, to be filed with others: their column is narrow. */
const longestAgoMs = 2_147_483_647

/** A settlement that needs no more than a row of history, with its place in the call and the number of its job. */
export interface Plain {
  readonly finish: Finish
  readonly place: number
  readonly leased: LeasedJob
}

/** Sorts out those that can be filed together. */
export function groupsOf(plain: readonly Plain[]): { groups: Plain[][]; others: Plain[] } {
  const found = new Map<string, Plain[]>()
  const others: Plain[] = []
  const groupOf = ({ finish: { token, keepMs, counters }, leased: { queue } }: Plain): Plain[] => {
    const kind = `${token}\t${keepMs}\t${packCounters(counters)}\t${queue}`
    const known = found.get(kind)
    if (known !== undefined) return known
    const group: Plain[] = []
    found.set(kind, group)
    return group
  }
  // Neighbours mostly go together.
  let last: Plain | null = null
  let group: Plain[] = []
  for (const one of plain) {
    const { state, reason, output, startedAgoMs } = one.finish
    const isLong = (output?.length ?? 0) > longestInBatch || (startedAgoMs ?? 0) > longestAgoMs
    if (state !== 'completed' || reason !== null || isLong) {
      others.push(one)
      continue
    }
    if (last === null || !areAlike(last, one)) group = groupOf(one)
    group.push(one)
    last = one
  }
  const groups: Plain[][] = []
  for (const group of found.values()) {
    if (group.length >= smallestBatch && groups.length < mostGroups) groups.push(group)
    else others.push(...group)
  }
  return {
    groups: groups.sort((a, b) => (a[0]?.finish.token ?? 0) - (b[0]?.finish.token ?? 0)),
    others,
  }
}

function areAlike(a: Plain, b: Plain): boolean {
  return (
    a.finish.token === b.finish.token &&
    a.finish.keepMs === b.finish.keepMs &&
    a.leased.queue === b.leased.queue &&
    packCounters(a.finish.counters) === packCounters(b.finish.counters)
  )
}
