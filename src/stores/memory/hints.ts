/** Tells watchers, soon but never at once, that something happened. */
import type { Hint, Unwatch } from '../../store/worker-calls.ts'
import { setImmediate } from '../../core/timers.ts'

/** Collects hints and hands each kind out once per turn of the event loop. */
export class Hints {
  readonly #watchers = new Set<{ on: (hint: Hint) => void }>()
  readonly #pending = new Set<Hint>()

  give(hint: Hint): void {
    if (this.#watchers.size === 0) return
    if (this.#pending.size === 0) setImmediate(() => this.#deliver())
    this.#pending.add(hint)
  }

  watch(on: (hint: Hint) => void): Unwatch {
    const watcher = { on }
    this.#watchers.add(watcher)
    return () => {
      this.#watchers.delete(watcher)
    }
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
