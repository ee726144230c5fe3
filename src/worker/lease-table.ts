/**
 * The leases that a worker holds, in memory shared with the renewer's thread: what changes for each job
 * (start, end) is a plain write here, and only claims travel as messages, one for a batch.
 */

/** What an entry stands for. */
export const entryState = { free: 0, held: 1, running: 2, ended: 3 } as const

/** The shared arrays, one element for each entry. Ticks are those of `time.ts`. */
export interface SharedLeases {
  readonly states: Int32Array
  /** When the handler was started. */
  readonly startedAt: Float64Array
  /** Until when the lease is renewed. */
  readonly renewUntil: Float64Array
}

/** A lease as the renewer is told of it. */
export interface LeaseEntry {
  readonly index: number
  readonly id: string
  readonly token: number
  /** Whether its start is in the store already. */
  readonly startNoted: boolean
}

/** How many leases one worker can hold. */
const leaseCapacity = 4_096

/** Makes the shared arrays. */
function shareLeases(): SharedLeases {
  return {
    states: new Int32Array(new SharedArrayBuffer(leaseCapacity * 4)),
    startedAt: new Float64Array(new SharedArrayBuffer(leaseCapacity * 8)),
    renewUntil: new Float64Array(new SharedArrayBuffer(leaseCapacity * 8)),
  }
}

/** The worker's side of the table. */
export class LeaseTable {
  readonly shared: SharedLeases = shareLeases()
  readonly #free: number[] = Array.from({ length: leaseCapacity }, (_, i) => leaseCapacity - 1 - i)
  readonly #entries = new Map<number, LeaseEntry>()

  get room(): number {
    return this.#free.length
  }

  /** Every lease held, for a renewer that starts anew. */
  get entries(): readonly LeaseEntry[] {
    return [...this.#entries.values()]
  }

  /**
   * Takes in a lease, to be renewed until the given time unless it is started: a process that hangs must not keep what it
   * never began. The caller claims no more than there is room.
   */
  hold(id: string, token: number, startNoted: boolean, renewUntil: number): LeaseEntry {
    const index = this.#free.pop()
    if (index === undefined) throw new RangeError('more leases than the table has room for')
    const entry = { index, id, token, startNoted }
    this.#entries.set(index, entry)
    this.shared.renewUntil[index] = renewUntil
    this.shared.states[index] = entryState.held
    return entry
  }

  /** Marks the start of the handler. */
  start(index: number, now: number, renewUntil: number): void {
    this.shared.startedAt[index] = now
    this.shared.renewUntil[index] = renewUntil
    this.shared.states[index] = entryState.running
  }

  /** Ends renewal at the given time, if it does not end before. */
  renewAtMostUntil(index: number, until: number): void {
    this.shared.renewUntil[index] = Math.min(this.shared.renewUntil[index] ?? Infinity, until)
  }

  /** Marks the end of the handler, and until when its lease is renewed if its settlement is not written by then. */
  end(index: number, renewUntil: number): void {
    this.shared.states[index] = entryState.ended
    this.renewAtMostUntil(index, renewUntil)
  }

  /** Renews longer what has ended: its settlement cannot be written yet. */
  keepEnded(renewUntil: number): void {
    for (const { index } of this.#entries.values()) {
      if (this.shared.states[index] !== entryState.ended) continue
      this.shared.renewUntil[index] = renewUntil
    }
  }

  /** Forgets a lease. */
  drop(index: number): void {
    this.shared.states[index] = entryState.free
    if (this.#entries.delete(index)) this.#free.push(index)
  }
}
