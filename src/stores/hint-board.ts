/** Tells watchers, soon but never at once, that something happened. */
import type { Hint } from '../store/worker-calls.ts'
import { setImmediate } from '../core/timers.ts'

/** All there are. */
export const hintKinds: readonly Hint[] = ['work', 'cancel', 'paused', 'finished', 'lock', 'record']

/** Collects hints and hands each kind out once per turn of the event loop. */
export class HintBoard {
  readonly #watchers = new Set<{ readonly on: (hint: Hint) => void }>()
  readonly #pending = new Set<Hint>()

  get isWatched(): boolean {
    return this.#watchers.size > 0
  }

  give(hint: Hint): void {
    if (this.#watchers.size === 0) return
    if (this.#pending.size === 0) setImmediate(() => this.#deliver())
    this.#pending.add(hint)
  }

  /** Makes every watcher ask the store, whatever it waits for. */
  giveAll(): void {
    for (const hint of hintKinds) this.give(hint)
  }

  add(on: (hint: Hint) => void): () => void {
    const watcher = { on }
    this.#watchers.add(watcher)
    return () => {
      this.#watchers.delete(watcher)
    }
  }

  clear(): void {
    this.#watchers.clear()
  }

  #deliver(): void {
    const hints = [...this.#pending]
    this.#pending.clear()
    for (const watcher of this.#watchers) {
      // One hint may lead a watcher to stop watching before the next.
      for (const hint of hints) if (this.#watchers.has(watcher)) watcher.on(hint)
    }
  }
}
