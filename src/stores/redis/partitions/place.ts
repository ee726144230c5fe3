/**
 * Which partition a job lies in. A plain job lies where the hash of its id says, a unique one where
 * that of its key says, a follow-up with its parent, a job with needs with the first of them. A
 * token tells its partition, so that workers ask the right one; others ask the partition of the
 * id's hash first and then the rest.
 */
import { isPacked, packId } from '../ids.ts'
import { mostPartitions, type Partition } from './partition.ts'
import { scriptOf } from '../script.ts'

const KNOWN = scriptOf(
  'known',
  [],
  `
-- ARGV[4...]: ids
local answers = {}
while at < #ARGV do answers[#answers + 1] = call('EXISTS', root .. 'j:' .. nextArg()) end
return concat(answers)
`,
)

/** Something with its place in the caller's order. */
interface Placed<T> {
  readonly item: T
  readonly index: number
}

export class Spread {
  readonly all: readonly Partition[]

  constructor(all: readonly Partition[]) {
    this.all = all
  }

  get isSingle(): boolean {
    return this.all.length === 1
  }

  /** The partition of a number; the first one for a number that has none. */
  at(index: number): Partition {
    const partition = this.all[index] ?? this.all[0]
    if (partition === undefined) throw new RangeError('a store has one partition at least')
    return partition
  }

  ofToken(token: number): Partition {
    return this.isSingle ? this.at(0) : this.at(token % mostPartitions)
  }

  ofText(text: string): Partition {
    return this.isSingle ? this.at(0) : this.at(hash(text) % this.all.length)
  }

  ofId(id: string): Partition {
    return this.ofText(packId(id))
  }

  /** Where jobs lie; ids that no partition knows are left out. */
  async locate(ids: readonly string[]): Promise<Map<string, Partition>> {
    const found = new Map<string, Partition>()
    const unknown = [...new Set(ids)].filter((id) => isPacked(packId(id)))
    if (unknown.length === 0) return found
    const look = async (partition: Partition, some: readonly string[]): Promise<void> => {
      if (some.length === 0) return
      const bits = await inTurn(some, async (part) =>
        ((await partition.run(KNOWN, part.map(packId))) as string).split(''),
      )
      for (const [n, id] of some.entries()) if (bits[n] === '1') found.set(id, partition)
    }
    await Promise.all(
      [...Map.groupBy(unknown, (id) => this.ofId(id))].map(([partition, some]) =>
        look(partition, some),
      ),
    )
    const missed = unknown.filter((id) => !found.has(id))
    if (missed.length > 0) await Promise.all(this.all.map((partition) => look(partition, missed)))
    return found
  }

  /**
   * Hands each partition its share of a batch at the same time, and puts the answers into the order
   * of the batch.
   */
  async share<T, A>(
    items: readonly T[],
    partitionOf: (item: T, index: number) => Partition,
    call: (partition: Partition, items: readonly T[]) => Promise<readonly A[]>,
  ): Promise<A[]> {
    if (this.isSingle) return inTurn(items, (some) => call(this.at(0), some))
    const answers = Array.from<A>({ length: items.length })
    const shares = Map.groupBy(
      items.map((item, index): Placed<T> => ({ item, index })),
      ({ item, index }) => partitionOf(item, index),
    )
    await Promise.all(
      [...shares].map(async ([partition, share]) => {
        const part = await inTurn(
          share.map(({ item }) => item),
          (some) => call(partition, some),
        )
        for (const [n, { index }] of share.entries()) answers[index] = part[n] as A
      }),
    )
    return answers
  }
}

/** The most items that one script takes. */
const most = 1_000

/** Hands over a batch in as many calls as it takes, one after the other. */
async function inTurn<T, A>(
  items: readonly T[],
  call: (items: readonly T[]) => Promise<readonly A[]>,
): Promise<A[]> {
  if (items.length <= most) return [...(await call(items))]
  const answers: A[] = []
  for (let from = 0; from < items.length; from += most)
    answers.push(...(await call(items.slice(from, from + most))))
  return answers
}

/** FNV-1a. */
function hash(text: string): number {
  let sum = 0x811c9dc5
  for (let n = 0; n < text.length; n++) sum = Math.imul(sum ^ text.charCodeAt(n), 0x01000193)
  return (sum ^ (sum >>> 15)) >>> 0
}
