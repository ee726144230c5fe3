/**
 * Which ticks of a singleton are over: a record of the app's store, so that each tick is one round,
 * whichever process runs it. It is read before the lock is taken and moved, by compare and set,
 * while the lock is held: a process that takes over knows what the one before it has begun.
 */
import type { Tick, Ticks } from '../flows/schedules/ticks.ts'
import { answered } from '../loops/call-deadline.ts'
import type { Store } from '../store/store.ts'

export class TickBook {
  readonly #store: Store
  readonly #key: string
  readonly #ticks: Ticks

  constructor(store: Store, singleton: string, ticks: Ticks) {
    this.#store = store
    this.#key = `singleton-tick/${singleton}`
    this.#ticks = ticks
  }

  /** The first tick after a time, in milliseconds; null when there is none any more. */
  after(ms: number): Tick | null {
    return this.#ticks.after(ms)
  }

  /** Whether a tick has been begun, or passed while an earlier one ran. */
  async isOver(tick: Tick): Promise<boolean> {
    return readAt(await this.#read()) >= tick.at
  }

  /** Begins a tick. Returns false when it is over, or somebody else begins it at this moment. */
  async begin(tick: Tick): Promise<boolean> {
    const text = await this.#read()
    return readAt(text) < tick.at && this.#write(text, tick.at)
  }

  /** Ends a run: the ticks until now are over. Returns false when somebody else has gone on already. */
  async end(now: number): Promise<boolean> {
    const text = await this.#read()
    return readAt(text) < now && this.#write(text, now)
  }

  async #read(): Promise<string | null> {
    const [text = null] = await answered(this.#store.clock, this.#store.getRecords([this.#key]))
    return text
  }

  async #write(from: string | null, at: number): Promise<boolean> {
    const write = { key: this.#key, text: JSON.stringify({ at }), if: from }
    const [answer] = await answered(this.#store.clock, this.#store.putRecords([write]))
    return answer === 'put'
  }
}

/** What cannot be read is taken for nothing, and written anew. */
function readAt(text: string | null): number {
  try {
    const { at } = JSON.parse(text ?? '{}') as { readonly at?: unknown }
    return typeof at === 'number' ? at : -Infinity
  } catch {
    return -Infinity
  }
}
