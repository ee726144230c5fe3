/**
 * Why a worker claims nothing for now: any number of reasons, each set and lifted by its own part.
 * What is buffered is given back when the first comes up; what runs goes on.
 */
import type { EventHub } from '../observe/events.ts'
import type { HoldReason } from '../core/hold-reason.ts'

export class Holds {
  readonly #worker: string
  readonly #events: EventHub
  readonly #reasons = new Set<HoldReason>()
  #turned: () => void = () => undefined

  constructor(worker: string, events: EventHub) {
    this.#worker = worker
    this.#events = events
  }

  /** Whether there is a reason. */
  get any(): boolean {
    return this.#reasons.size > 0
  }

  get reasons(): readonly HoldReason[] {
    return [...this.#reasons]
  }

  /** Calls back whenever the reasons have changed. */
  onTurn(turned: () => void): void {
    this.#turned = turned
  }

  set(reason: HoldReason, isOn: boolean): void {
    if (this.#reasons.has(reason) === isOn) return
    if (isOn) this.#reasons.add(reason)
    else this.#reasons.delete(reason)
    const worker = this.#worker
    if (this.any) this.#events.emit('worker-paused', { worker, reasons: this.reasons })
    else this.#events.emit('worker-resumed', { worker })
    this.#turned()
  }
}
