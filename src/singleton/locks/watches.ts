/**
 * Watches locks on servers that let a caller wait for a change. One wait per name, while somebody watches it; a wait that fails is begun again
 * after a pause that grows, and then the lock is said to be free, for it may have become so meanwhile.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Unwatch } from '../../store/worker-calls.ts'

/** What a wait came to, and where the next one goes on. */
export interface Change {
  readonly seen: string
  readonly isFree: boolean
}

/** Waits at the server until the lock changes, from what was seen on. */
export type WaitForChange = (name: string, seen: string, signal: AbortSignal) => Promise<Change>

/** Where a first wait begins: it answers at once with what is. */
export const nothingSeen = '0'

const pauseMs = { first: 200, most: 10_000 } as const
/** Changes that come closer to each other than this are told together. */
const apartMs = 20

interface Watched {
  readonly watchers: Set<{ readonly on: () => void }>
  readonly stop: AbortController
}

export class Watches {
  readonly #wait: WaitForChange
  readonly #names = new Map<string, Watched>()

  constructor(wait: WaitForChange) {
    this.#wait = wait
  }

  add(name: string, on: () => void): Unwatch {
    const watched = this.#names.get(name) ?? this.#start(name)
    const watcher = { on }
    watched.watchers.add(watcher)
    return () => {
      watched.watchers.delete(watcher)
      if (watched.watchers.size > 0) return
      watched.stop.abort()
      if (this.#names.get(name) === watched) this.#names.delete(name)
    }
  }

  close(): void {
    for (const { stop } of this.#names.values()) stop.abort()
    this.#names.clear()
  }

  #start(name: string): Watched {
    const watched: Watched = { watchers: new Set(), stop: new AbortController() }
    this.#names.set(name, watched)
    void this.#run(name, watched)
    return watched
  }

  async #run(name: string, { watchers, stop }: Watched): Promise<void> {
    const { signal } = stop
    let seen = nothingSeen
    for (let failures = 0; !signal.aborted;) {
      let isFree = true
      try {
        ;({ seen, isFree } = await this.#wait(name, seen, signal))
        failures = 0
      } catch {
        // The server is away: whoever holds or takes the lock reports that.
        seen = nothingSeen
        failures++
      }
      if (signal.aborted) return
      if (isFree) for (const { on } of watchers) on()
      const waitMs =
        failures === 0
          ? apartMs
          : Math.min(pauseMs.first * 2 ** Math.min(failures, 8), pauseMs.most)
      await sleep(waitMs * (0.5 + Math.random() / 2), undefined, { signal, ref: false }).catch(
        () => {},
      )
    }
  }
}
