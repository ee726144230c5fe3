/** Metrics of an app as Prometheus reads them: what this process saw, and the state of the store. */
import { clearTimeout, performance, setTimeout } from '../../core/timers.ts'
import type { Store } from '../../store/store.ts'
import { hubOf } from '../hub-of.ts'
import { ownWorkersOf } from '../own-workers.ts'
import { exposition, expositionType, type Family } from './exposition.ts'
import { family } from './names.ts'
import { ProcessMetrics } from './process-metrics.ts'
import { storeFamilies, type ListsWorkers } from './store-metrics.ts'

/** What is measured: what `createErrand` returns. */
export interface Measured {
  readonly store: Store
  readonly workers: ListsWorkers
}

/** Metrics of one app, from their start on. */
export interface Prometheus {
  /** The media type of `text`. */
  readonly contentType: string
  /** The metrics in the text format 0.0.4. Never rejects: `errand_store_up` is 0 while the store is away. */
  text(): Promise<string>
  /** Stops counting. */
  stop(): void
}

const bounds = {
  /** How long to wait for the store, in milliseconds; Prometheus itself waits for ten seconds. */
  storeMs: 4_000,
  /** For so long further scrapes get what the store said before. */
  freshMs: 1_000,
} as const

/**
 * Starts to count the events of an app. Opens no port; serve its text at a path that
 * Prometheus scrapes.
 *
 * @example
 * const metrics = prometheus(errand)
 * app.get('/metrics', async (_, answer) => answer.type(metrics.contentType).send(await metrics.text()))
 */
export function prometheus(errand: Measured): Prometheus {
  const seen = new ProcessMetrics(hubOf(errand))
  const store = new Fresh(() => readStore(errand))
  return {
    contentType: expositionType,
    text: async () =>
      exposition([...(await store.get()), ...seen.families(), ...workerFamilies(errand)]),
    stop: () => seen.stop(),
  }
}

async function readStore({ store, workers }: Measured): Promise<readonly Family[]> {
  let timer: NodeJS.Timeout | null = null
  const late = new Promise<null>((resolve) => {
    timer = setTimeout(() => resolve(null), bounds.storeMs)
  })
  // The parts that need the store report what went wrong.
  const asked = storeFamilies(store, workers).catch(() => null)
  const families = await Promise.race([asked, late])
  if (timer !== null) clearTimeout(timer)
  return [family('errand_store_up', [[{}, families === null ? 0 : 1]]), ...(families ?? [])]
}

/** Slots of the workers of this process; nothing where it has none. */
function* workerFamilies(errand: object): Generator<Family> {
  const workers = ownWorkersOf(errand)
  if (workers.length === 0) return
  const sum = (of: (worker: (typeof workers)[number]) => number): number =>
    workers.reduce((all, worker) => all + of(worker), 0)
  const used = sum(({ running }) => running)
  const free = Math.max(0, sum(({ slots }) => slots) - used)
  yield family('errand_slots', [
    [{ state: 'used' }, used],
    [{ state: 'free' }, free],
  ])
  yield family('errand_runs_stuck', [[{}, sum(({ stuck }) => stuck)]])
}

/** Shares one reading among all who ask while it is under way or fresh. */
class Fresh {
  readonly #look: () => Promise<readonly Family[]>
  #at = -Infinity
  #found: Promise<readonly Family[]> | null = null

  constructor(look: () => Promise<readonly Family[]>) {
    this.#look = look
  }

  get(): Promise<readonly Family[]> {
    if (this.#found === null || performance.now() - this.#at > bounds.freshMs) {
      const found = this.#look().finally(() => (this.#at = performance.now()))
      this.#at = Infinity
      this.#found = found
    }
    return this.#found
  }
}
