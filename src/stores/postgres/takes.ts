/**
 * Takes of one job each that are in flight together travel as one call, without any of them waiting
 * on a timer: what arrives while as many calls as may are under way goes with the next. A call
 * takes what it can have at once; a job that another transaction holds, or that would make the
 * answer too large, is left to a call of its own, so that nobody waits for the job of somebody
 * else.
 */
import type { StoredJob } from '../../store/job.ts'
import type { Database } from './database.ts'
import { take, takeFree } from './operators.ts'

const mostCalls = 2
const mostTogether = 100

interface Waiting {
  readonly id: string
  readonly resolve: (job: StoredJob | null) => void
  readonly reject: (error: unknown) => void
}

/** Gathers takes of one job into calls for several. */
export class Takes {
  readonly #db: Database
  readonly #waiting: Waiting[] = []
  #calls = 0

  constructor(db: Database) {
    this.#db = db
  }

  /** Takes several jobs by a call of its own, one job along with others. */
  async take(ids: readonly string[]): Promise<(StoredJob | null)[]> {
    const [id] = ids
    if (id === undefined || ids.length > 1) return take(this.#db, ids)
    const job = await new Promise<StoredJob | null>((resolve, reject) => {
      this.#waiting.push({ id, resolve, reject })
      if (this.#calls < mostCalls) void this.#send()
    })
    return [job]
  }

  async #send(): Promise<void> {
    this.#calls += 1
    while (this.#waiting.length > 0) await this.#together(this.#waiting.splice(0, mostTogether))
    this.#calls -= 1
  }

  /** Never rejects. */
  async #together(batch: readonly Waiting[]): Promise<void> {
    try {
      const { jobs, left } = await takeFree(
        this.#db,
        batch.map(({ id }) => id),
      )
      for (const [place, one] of batch.entries()) {
        if (left.has(one.id)) void this.#alone(one)
        else one.resolve(jobs[place] ?? null)
      }
    } catch (error) {
      for (const { reject } of batch) reject(error)
    }
  }

  /** Never rejects. */
  async #alone({ id, resolve, reject }: Waiting): Promise<void> {
    try {
      const [job] = await take(this.#db, [id])
      resolve(job ?? null)
    } catch (error) {
      reject(error)
    }
  }
}
