/** One partition: the keys under one hash tag, and the scripts that run on them. */
import type { Connection } from '../connection.ts'
import type { Pair, Script } from '../script.ts'

/** An answer, with what happened for those who watch; see `Hints`. */
export interface Answered<T> {
  readonly hinted: number
  /** What of it the call told others itself. */
  readonly told?: number
  readonly answer: T
}

/** How a partition is known to its scripts. */
export class Partition {
  readonly index: number
  /** `{prefix:p}:`, with which the names of all its keys begin. */
  readonly root: string
  readonly #connection: Connection
  readonly #misses = new Map<Pair, Misses>()
  readonly #common: readonly [clock: string, tokenStep: string, tokenRest: string]

  constructor(
    connection: Connection,
    options: {
      readonly index: number
      readonly prefix: string
      readonly partitions: number
      readonly testClock: boolean
    },
  ) {
    const { index, prefix, partitions, testClock } = options
    this.index = index
    this.root = `{${prefix}:${index}}:`
    this.#connection = connection
    this.#common = [testClock ? 't' : '', String(tokenStep(partitions)), String(index)]
  }

  /** Runs a script on this partition. */
  run(script: Script, args: readonly string[] = []): Promise<unknown> {
    return this.#connection.run(script, this.root, [...this.#common, ...args])
  }

  /**
   * Runs the quick script of a pair, and the full one when that did not do; after several misses in
   * a row, for a while the full one alone. `quick` is null for what the quick script does not take.
   */
  async runPair(
    pair: Pair,
    quick: readonly string[] | null,
    full: () => readonly string[],
  ): Promise<unknown> {
    if (quick === null) return this.run(pair.full, full())
    const misses = this.#misses.get(pair)
    if (misses !== undefined && misses.pause > 0) misses.pause -= 1
    else {
      const answer = await this.run(pair.quick, quick)
      if (answer !== null) {
        if (misses !== undefined) this.#misses.delete(pair)
        return answer
      }
      const inARow = (misses?.inARow ?? 0) + 1
      this.#misses.set(pair, { inARow, pause: Math.min(mostPause, 2 ** (inARow - 1) - 1) })
    }
    return this.run(pair.full, full())
  }
}

/**
 * What a quick script did not do of late. One miss alone costs no call but its own: the jobs of the
 * next are others.
 */
interface Misses {
  readonly inARow: number
  /** How many calls still go without a try. */
  pause: number
}

/** How many calls go without a try of a quick script at most. */
const mostPause = 10

/**
 * The most partitions that a store can have: a token tells its partition by what is left of it
 * modulo this.
 */
export const mostPartitions = 64

function tokenStep(partitions: number): number {
  return partitions === 1 ? 1 : mostPartitions
}
