/**
 * Who looks after the store beside a manager: a keeper, or a worker that runs jobs as well. When an
 * operator ends the worker, another one (after a restart) or a keeper follows it, for the manager
 * goes on.
 */
import type { Duration } from '../core/duration.ts'
import type { Errand } from '../errand.ts'
import type { Keeper } from '../keeper/keeper.ts'
import { stopWorkerToExit } from '../worker/stop-to-exit.ts'
import type { Worker } from '../worker/worker-options.ts'

export class Caretaker {
  readonly #errand: Errand
  #now: Worker | Keeper
  #isStopping = false
  #following: Promise<void> = Promise.resolve()

  constructor(errand: Errand, works: boolean) {
    this.#errand = errand
    this.#now = works ? errand.worker({ keeper: true }) : errand.keeper()
    errand.on('worker-ending', ({ worker, why }) => {
      if (worker === this.#now.id) this.#following = this.#follow(why === 'restart')
    })
  }

  start(): Promise<void> {
    return this.#now.start()
  }

  async stop(options: { readonly grace?: Duration | 'none' }): Promise<void> {
    this.#isStopping = true
    const now = this.#now
    await ('status' in now ? stopWorkerToExit(now, options) : now.stop())
    await this.#following
  }

  async #follow(works: boolean): Promise<void> {
    await this.#now.stop()
    if (this.#isStopping) return
    this.#now = works ? this.#errand.worker({ keeper: true }) : this.#errand.keeper()
    await this.#now.start()
  }
}
