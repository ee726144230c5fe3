/**
 * Tells watchers, soon but never at once, that something happened: those of this process directly, those of others by NOTIFY.
 * NOTIFY takes a lock of the whole database when it commits, so it is sent apart from the work, and once for all that happened
 * within some milliseconds.
 */
import type { Hint } from '../../store.ts'

/** How far apart the messages of one kind are, in ms. */
const apartMs: Readonly<Record<Hint, number>> = { work: 5, cancel: 5, paused: 5, finished: 25 }

export class Hints {
  readonly #watchers = new Set<{ readonly on: (hint: Hint) => void }>()
  readonly #pending = new Set<Hint>()
  readonly #sent = new Map<Hint, number>()
  readonly #timers = new Map<Hint, NodeJS.Timeout>()
  /** Sends a hint to other processes. */
  tell: (hint: Hint) => void = () => {}

  get isWatched(): boolean {
    return this.#watchers.size > 0
  }

  /** Something happened here. */
  give(hint: Hint): void {
    this.hear(hint)
    if (this.#timers.has(hint)) return
    const now = performance.now()
    const wait = (this.#sent.get(hint) ?? -Infinity) + apartMs[hint] - now
    if (wait <= 0) {
      this.#sent.set(hint, now)
      this.tell(hint)
      return
    }
    const timer = setTimeout(() => {
      this.#timers.delete(hint)
      this.#sent.set(hint, performance.now())
      this.tell(hint)
    }, wait)
    timer.unref()
    this.#timers.set(hint, timer)
  }

  /** Something happened, here or elsewhere. */
  hear(hint: Hint): void {
    if (this.#watchers.size === 0) return
    if (this.#pending.size === 0) setImmediate(() => this.#deliver())
    this.#pending.add(hint)
  }

  add(on: (hint: Hint) => void): () => void {
    const watcher = { on }
    this.#watchers.add(watcher)
    return () => {
      this.#watchers.delete(watcher)
    }
  }

  /** Forgets all watchers; what was not sent yet is dropped. */
  clear(): void {
    this.#watchers.clear()
    for (const timer of this.#timers.values()) clearTimeout(timer)
    this.#timers.clear()
    this.tell = () => {}
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
