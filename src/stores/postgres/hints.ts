/**
 * Tells watchers, soon but never at once, that something happened: those of this process directly, those of others by NOTIFY.
 * NOTIFY takes a lock of the whole database while it commits, so it is sent once for all that happened within some milliseconds, and
 * apart from the work.
 *
 * Except that the message of a lone piece of work travels with it, which saves a call: as long as that commits quickly. A commit
 * that is slow, by its disk or since others hold the lock, would let all who tell at the same time wait in line: then messages
 * go apart for a while. So they do where the server takes none, for then the work that carries one fails with it.
 */
import { randomUUID } from 'node:crypto'
import type { Hint } from '../../store/worker-calls.ts'
import { mayBeFull } from './errors.ts'
import { clearTimeout, performance, setImmediate, setTimeout } from '../../core/timers.ts'

/** How far apart the messages of one kind are, in ms. */
const apartMs: Readonly<Record<Hint, number>> = {
  work: 5,
  cancel: 5,
  paused: 5,
  finished: 25,
  lock: 5,
  record: 25,
}
/** The head start of this process's own worker, so that the message to others does not compete with its claim, in ms. */
const headStartMs = 2
/** Work that takes longer than this with its message is slow. */
const slowMs = 10
/** For how long messages go apart then. */
const apartForMs = 1_000

export class Hints {
  /** Tells own messages from those of others. */
  readonly self: string = randomUUID().slice(0, 8)
  readonly #now: () => number
  readonly #watchers = new Set<{ readonly on: (hint: Hint) => void }>()
  readonly #pending = new Set<Hint>()
  readonly #sent = new Map<Hint, number>()
  readonly #timers = new Map<Hint, NodeJS.Timeout>()
  #apartUntil = -Infinity
  /** Sends a hint to other processes. */
  tell: (hint: Hint) => void = () => {}

  constructor(now: () => number = () => performance.now()) {
    this.#now = now
  }

  get isWatched(): boolean {
    return this.#watchers.size > 0
  }

  /** Something happened here. */
  give(hint: Hint): void {
    this.hear(hint)
    if (this.#timers.has(hint)) return
    const now = this.#now()
    const headStart = hint === 'work' && this.isWatched ? headStartMs : 0
    const wait = Math.max(headStart, (this.#sent.get(hint) ?? -Infinity) + apartMs[hint] - now)
    if (wait <= 0) {
      this.#sent.set(hint, now)
      this.tell(hint)
      return
    }
    const timer = setTimeout(() => {
      this.#timers.delete(hint)
      this.#sent.set(hint, this.#now())
      this.tell(hint)
    }, wait)
    timer.unref()
    this.#timers.set(hint, timer)
  }

  /**
   * Does work at whose end something will have happened. It gets the message to send in its own transaction, when that would be sent right
   * after it; else null.
   */
  async carry(hint: Hint, work: (message: string | null) => Promise<unknown>): Promise<void> {
    const start = this.#now()
    const goesApart =
      this.isWatched ||
      this.#timers.has(hint) ||
      start < this.#apartUntil ||
      start < (this.#sent.get(hint) ?? -Infinity) + apartMs[hint]
    if (goesApart) {
      await work(null)
      this.give(hint)
      return
    }
    this.#sent.set(hint, start)
    let refused = false
    try {
      await work(this.message(hint))
    } catch (error) {
      if (!mayBeFull(error)) throw error
      refused = true
      await work(null)
    }
    this.hear(hint)
    const end = this.#now()
    if (refused || end - start > slowMs) this.#apartUntil = end + apartForMs
  }

  /** What others are told. */
  message(hint: Hint | 'ping'): string {
    return `${hint}:${this.self}`
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
