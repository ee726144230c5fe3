/** Keeps the records of workers that are no programs of Errand's, for people to see who is there. */
import { performance } from '../../core/timers.ts'
import type { Store } from '../../store/store.ts'
import type { WorkerRecord } from '../../store/registry.ts'

/** A record is written so often at most, for each worker. */
const everyMs = 5_000

/** More workers than this are forgotten, the longest silent first. */
const most = 10_000

export class Seen {
  readonly #store: Store
  readonly #workers = new Map<string, { readonly startedAt: number; at: number }>()

  constructor(store: Store) {
    this.#store = store
  }

  async saw(worker: Pick<WorkerRecord, 'id' | 'queues' | 'slots' | 'version'>): Promise<void> {
    const now = performance.now()
    const known = this.#workers.get(worker.id)
    if (known !== undefined && now - known.at < everyMs) return
    const startedAt = known?.startedAt ?? this.#store.clock.now()
    this.#workers.delete(worker.id)
    this.#workers.set(worker.id, { startedAt, at: now })
    if (this.#workers.size > most) {
      const [oldest] = this.#workers.keys()
      this.#workers.delete(oldest ?? '')
    }
    await this.#store.tend({
      ...worker,
      host: 'http',
      pid: 0,
      schedules: null,
      running: [],
      startedAt,
      lastSeenAt: 0,
      stopped: false,
    })
  }
}
