/**
 * Holds a worker while the load is over one of its bounds.
 *
 * open → held (a bound is exceeded) → open (the load is below nine tenths of that bound). It looks
 * once a second, and each bound holds by itself.
 */
import type { Clock } from '../core/clock.ts'
import type { LoadBounds } from '../core/pause-when.ts'
import type { Holds } from './holds.ts'
import { LoadMeter, type Load } from './load.ts'

const lookMs = 1_000
const resumeBelow = 0.9

const kinds = ['cpu', 'memory', 'lag'] as const

export interface LoadGuardOptions {
  readonly clock: Clock
  readonly bounds: LoadBounds
  readonly holds: Pick<Holds, 'set'>
  /** Measures the load since it was measured before. */
  readonly meter?: Pick<LoadMeter, 'measure' | 'stop'>
}

export class LoadGuard {
  readonly #options: LoadGuardOptions
  readonly #held = new Set<keyof Load>()
  #meter: Pick<LoadMeter, 'measure' | 'stop'> | null = null
  #stopTimer: () => void = () => undefined

  constructor(options: LoadGuardOptions) {
    this.#options = options
  }

  start(): void {
    this.#meter = this.#options.meter ?? new LoadMeter()
    this.#later()
  }

  stop(): void {
    this.#stopTimer()
    this.#meter?.stop()
    this.#meter = null
  }

  #later(): void {
    this.#stopTimer = this.#options.clock.after(lookMs, () => this.#look())
  }

  #look(): void {
    if (this.#meter === null) return
    const { bounds, holds } = this.#options
    const load = this.#meter.measure()
    for (const kind of kinds) {
      const isHeld = this.#held.has(kind)
      const isOver = isHeld ? load[kind] >= bounds[kind] * resumeBelow : load[kind] > bounds[kind]
      if (isOver) this.#held.add(kind)
      else this.#held.delete(kind)
      holds.set(kind, isOver)
    }
    this.#later()
  }
}
