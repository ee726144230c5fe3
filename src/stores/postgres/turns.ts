/** A line of callers who wait for something that others hold. Who has waited too long leaves it. */
import type { Deadline } from './connection.ts'
import { crowdedError } from './errors.ts'
import { clearTimeout, setTimeout } from '../../core/timers.ts'

interface Waiter<T> {
  readonly resolve: (it: T) => void
  readonly reject: (error: unknown) => void
}

export class Turns<T> {
  readonly #waiting = new Set<Waiter<T>>()

  get length(): number {
    return this.#waiting.size
  }

  /** Resolves with what is given next. Rejects when it takes longer than the deadline, or so many milliseconds. */
  wait({ ms: usual, location }: Deadline, ms: number = usual): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>()
    const timer = setTimeout(() => {
      this.#waiting.delete(waiter)
      reject(crowdedError(location, ms))
    }, ms)
    const waiter: Waiter<T> = {
      resolve: (it) => {
        clearTimeout(timer)
        resolve(it)
      },
      reject: (error) => {
        clearTimeout(timer)
        reject(error)
      },
    }
    this.#waiting.add(waiter)
    return promise
  }

  /** Gives to whoever has waited longest; answers whether there was anybody. */
  give(it: T): boolean {
    const waiter = this.#next()
    waiter?.resolve(it)
    return waiter !== null
  }

  /** Refuses whoever has waited longest. */
  refuse(error: unknown): void {
    this.#next()?.reject(error)
  }

  /** Refuses everybody. */
  refuseAll(error: unknown): void {
    while (this.#waiting.size > 0) this.refuse(error)
  }

  #next(): Waiter<T> | null {
    for (const waiter of this.#waiting) {
      this.#waiting.delete(waiter)
      return waiter
    }
    return null
  }
}
