/**
 * Writes records of runs: those of one moment travel in one call. While one call is under way the
 * next gathers; nothing waits on a timer. One that carries a unique job goes alone and at once: its
 * key may be held for a while.
 */
import { setImmediate } from '../core/timers.ts'
import { mayPass } from '../loops/supervised.ts'
import type { Store } from '../store/store.ts'
import type { RecordAnswer, RunRecord } from '../store/worker-calls.ts'

/** What one call carries. */
const batch = { most: 500, mostChars: 4_000_000 } as const

interface Pending extends PromiseWithResolvers<RecordAnswer> {
  readonly record: RunRecord
}

export class Records {
  readonly #store: Pick<Store, 'record'>
  readonly #waiting: Pending[] = []
  #isWriting = false

  constructor(store: Pick<Store, 'record'>) {
    this.#store = store
  }

  /** Writes one record, after those that were given before. Rejects with the store's errors. */
  write(record: RunRecord): Promise<RecordAnswer> {
    if (record.jobs?.some(({ unique }) => unique !== null)) return this.#writeAlone(record)
    const pending = { record, ...Promise.withResolvers<RecordAnswer>() }
    this.#waiting.push(pending)
    if (!this.#isWriting) void this.#writeAll()
    return pending.promise
  }

  async #writeAlone(record: RunRecord): Promise<RecordAnswer> {
    const [answer] = await this.#store.record([record])
    return answer ?? 'stale'
  }

  async #writeAll(): Promise<void> {
    this.#isWriting = true
    while (this.#waiting.length > 0) {
      await new Promise(setImmediate)
      await this.#write(this.#take())
    }
    this.#isWriting = false
  }

  #take(): readonly Pending[] {
    let count = 0
    let chars = 0
    const names = new Set<string>()
    for (const { record } of this.#waiting) {
      chars += sizeOf(record)
      const name = `${record.id}/${record.name}`
      // Two records of one name go one after the other.
      if (count === batch.most || (count > 0 && chars > batch.mostChars) || names.has(name)) break
      names.add(name)
      count++
    }
    return this.#waiting.splice(0, count)
  }

  /** A batch that one record spoils is halved until that one alone gets the error. */
  async #write(all: readonly Pending[]): Promise<void> {
    try {
      const answers = await this.#store.record(all.map(({ record }) => record))
      for (const [i, { resolve }] of all.entries()) resolve(answers[i] ?? 'stale')
    } catch (error) {
      if (all.length === 1 || mayPass(error) === 'yes') {
        for (const { reject } of all) reject(error)
        return
      }
      const middle = all.length >> 1
      await this.#write(all.slice(0, middle))
      await this.#write(all.slice(middle))
    }
  }
}

/** How large it is, in characters. */
function sizeOf({ text, jobs = [] }: RunRecord): number {
  return jobs.reduce((sum, { input }) => sum + input.length, text.length)
}
