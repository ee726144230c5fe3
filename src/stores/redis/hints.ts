/**
 * Tells watchers, soon but never at once, that something happened, in this process and in others.
 */
import type { Hint } from '../../store/worker-calls.ts'
import { clearTimeout, setImmediate, setTimeout } from '../../core/timers.ts'

/** What scripts tell of their effects, as bits: see `toolsLua`. */
const kinds: readonly (readonly [bit: number, hint: Hint])[] = [
  [1, 'work'],
  [2, 'finished'],
  [4, 'cancel'],
  [32, 'paused'],
  [64, 'lock'],
  [128, 'record'],
]

export const workBit = 1
export const pausedBit = 32
export const lockBit = 64
const hintBits = 1 | 2 | 4 | 32 | 64 | 128

/**
 * Bits that ask for a relay: messages for other partitions, or needs that are still to be answered.
 */
export const relayBits: number = 8 | 16

/**
 * How often a process tells others, at most. What happens meanwhile is told at the end of that
 * time.
 */
const tellEveryMs = 2

/**
 * What travels with a call to tell other processes of it: a channel and a message, or two empty
 * texts.
 */
export type Announcement = readonly [channel: string, message: string]

/**
 * Collects hints, hands each kind out once per turn of the event loop, and tells other processes at
 * most each few milliseconds.
 */
export class Hints {
  readonly #watchers = new Set<{ readonly on: (hint: Hint) => void }>()
  readonly #messageOf: (bits: number) => string
  readonly #wire: { readonly channel: string; readonly publish: (message: string) => void }
  #here = 0
  #elsewhere = 0
  #pause: NodeJS.Timeout | null = null

  constructor(
    messageOf: (bits: number) => string,
    wire: { readonly channel: string; readonly publish: (message: string) => void },
  ) {
    this.#messageOf = messageOf
    this.#wire = wire
  }

  get isWatched(): boolean {
    return this.#watchers.size > 0
  }

  /** What a call may tell others itself, in the same step; none while others were told but now. */
  announce(bits: number): Announcement {
    if (this.#pause !== null) return ['', '']
    this.#startPause()
    return [this.#wire.channel, this.#messageOf(bits)]
  }

  /**
   * Something happened by a call of this process, of which the call told others already what `told`
   * says.
   */
  give(bits: number, told = 0): void {
    const hints = bits & hintBits
    if (hints === 0) return
    if (this.#watchers.size > 0) {
      if (this.#here === 0) setImmediate(() => this.#deliver())
      this.#here |= hints
    }
    this.#elsewhere |= hints & ~told
    if (this.#pause === null && this.#elsewhere !== 0) this.#tell()
  }

  /** Something happened elsewhere. */
  heard(bits: number): void {
    this.#here |= bits & hintBits
    this.#deliver()
  }

  /** Whatever there is may have happened: the connection for hints was not there. */
  heardAll(): void {
    this.heard(hintBits)
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
    if (this.#pause !== null) clearTimeout(this.#pause)
    this.#pause = null
  }

  #tell(): void {
    this.#wire.publish(this.#messageOf(this.#elsewhere))
    this.#elsewhere = 0
    this.#startPause()
  }

  #startPause(): void {
    this.#pause = setTimeout(() => {
      this.#pause = null
      if (this.#elsewhere !== 0) this.#tell()
    }, tellEveryMs)
  }

  #deliver(): void {
    const bits = this.#here
    this.#here = 0
    for (const watcher of this.#watchers) {
      for (const [bit, hint] of kinds) {
        // One hint may lead a watcher to stop watching before the next.
        if ((bits & bit) !== 0 && this.#watchers.has(watcher)) watcher.on(hint)
      }
    }
  }
}
