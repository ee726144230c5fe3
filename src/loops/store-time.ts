/**
 * The store's time, as last heard from it and counted on by ticks: no move of this machine's clock
 * changes it.
 */
import type { Ticks } from './time.ts'

export class StoreTime {
  readonly #ticks: Ticks
  /** The store's time minus ours. */
  #offset: number

  constructor(ticks: Ticks, storeNow: number) {
    this.#ticks = ticks
    this.#offset = storeNow - ticks()
  }

  get now(): number {
    return this.at(this.#ticks())
  }

  /** The store's time at the given ticks. */
  at(ticks: number): number {
    return Math.round(ticks + this.#offset)
  }

  /** Takes in the store's time of now, which a call of it has returned. */
  heard(storeNow: number): void {
    this.#offset = storeNow - this.#ticks()
  }
}
