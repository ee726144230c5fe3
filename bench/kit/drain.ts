/** Drains waiting jobs with one worker, and knows when what was settled. */
import type { Worker } from 'errand'
import type { BenchApp, OpenApp } from './app.ts'
import { Ledger } from './ledger.ts'

export class Drain {
  readonly app: BenchApp
  readonly ledger: Ledger
  /** When the first handler started. */
  startedAt = 0
  readonly #worker: Worker

  constructor(open: OpenApp, jobs: number) {
    this.ledger = new Ledger(jobs)
    this.app = open((id) => this.#ran(id))
    this.#worker = this.app.errand.worker()
  }

  get settledAt(): number {
    return this.app.watched.lastSettledAt
  }

  start(): Promise<void> {
    return this.#worker.start()
  }

  /** Resolves with the time at which so many jobs were settled. */
  settled(jobs: number): Promise<number> {
    return this.app.watched.reached(jobs)
  }

  async stop(): Promise<void> {
    await this.#worker.stop()
  }

  async close(): Promise<void> {
    await this.app.errand.close()
  }

  #ran(id: number): void {
    this.ledger.ran(id)
    if (this.ledger.count === 1) this.startedAt = this.ledger.startedAt[id] ?? NaN
  }
}
