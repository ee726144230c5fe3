/** One partition: the keys under one hash tag, and the scripts that run on them. */
import type { Connection } from './connection.ts'
import type { Script } from './script.ts'

/** An answer, with what happened for those who watch; see `Hints`. */
export interface Answered<T> {
  readonly hinted: number
  readonly answer: T
}

/** How a partition is known to its scripts. */
export class Partition {
  readonly index: number
  /** `{prefix:p}:`, with which the names of all its keys begin. */
  readonly root: string
  readonly #connection: Connection
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

  /** Reads the records of jobs by their packed ids. */
  read(ids: readonly string[]): Promise<(string | null)[]> {
    return this.#connection.read(ids.map((id) => `${this.root}j:${id}`))
  }
}

/** The most partitions that a store can have: a token tells its partition by what is left of it modulo this. */
export const mostPartitions = 64

function tokenStep(partitions: number): number {
  return partitions === 1 ? 1 : mostPartitions
}
