/** What a process remembers of the jobs that it claimed, so that a plain finish needs no look-up. */

/** How many are remembered. */
const most = 50_000

export interface LeasedJob {
  readonly seq: number
  readonly queue: string
}

/** Remembers the latest jobs by id, each until it is taken. */
export class Leased {
  readonly #jobs = new Map<string, LeasedJob>()

  set(id: string, job: LeasedJob): void {
    if (this.#jobs.size >= most) {
      const [oldest] = this.#jobs.keys()
      if (oldest !== undefined) this.#jobs.delete(oldest)
    }
    this.#jobs.set(id, job)
  }

  take(id: string): LeasedJob | undefined {
    const job = this.#jobs.get(id)
    if (job !== undefined) this.#jobs.delete(id)
    return job
  }
}
