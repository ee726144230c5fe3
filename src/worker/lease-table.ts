/**
 * The leases that a worker holds, in memory shared with the renewer's thread: what changes for each
 * job (claim, start, end) is a plain write here, and nothing of it travels as a message.
 *
 * The reader takes no lock. An entry that changes hands gets another token, so what was read is one
 * lease's if its token was the same before and after.
 */
import type { ClaimedJob } from '../store/job.ts'
import type { LeaseRef } from '../store/worker-calls.ts'

/** What an entry stands for. */
export const entryState = { free: 0, held: 1, running: 2, ended: 3 } as const

/** The shared arrays, one element for each entry. Ticks are those of `time.ts`. */
export interface SharedLeases {
  readonly states: Int32Array
  readonly tokens: Float64Array
  /** Ids, `idLength` bytes for each. */
  readonly ids: Uint8Array
  /** 1 when the start was in the store before the lease was held, else 0. */
  readonly startNoted: Uint8Array
  /** When the handler was started. */
  readonly startedAt: Float64Array
  /** Until when the lease is renewed. */
  readonly renewUntil: Float64Array
  /** One element: 1 while the renewer is polling, 0 when it is idle and has to be woken. */
  readonly watched: Int32Array
}

/** A claimed job with its place in the lease table. */
export interface Held {
  readonly job: ClaimedJob
  readonly lease: number
}

/** How many leases one worker can hold. */
const leaseCapacity = 4_096
/** Ids are UUIDs; shorter ones are filled up with spaces. */
const idLength = 36

function shareLeases(): SharedLeases {
  const bytes = (each: number): SharedArrayBuffer => new SharedArrayBuffer(leaseCapacity * each)
  return {
    states: new Int32Array(bytes(4)),
    tokens: new Float64Array(bytes(8)),
    ids: new Uint8Array(bytes(idLength)),
    startNoted: new Uint8Array(bytes(1)),
    startedAt: new Float64Array(bytes(8)),
    renewUntil: new Float64Array(bytes(8)),
    watched: new Int32Array(new SharedArrayBuffer(4)),
  }
}

/** The worker's side of the table. */
export class LeaseTable {
  readonly shared: SharedLeases = shareLeases()
  readonly #ids: Buffer = bufferOver(this.shared)
  readonly #free: number[] = Array.from({ length: leaseCapacity }, (_, i) => leaseCapacity - 1 - i)

  get room(): number {
    return this.#free.length
  }

  /**
   * Takes in a lease, to be renewed until the given time unless it is started: a process that hangs
   * must not keep what it never began. Answers its place. The caller claims no more than there is
   * room.
   */
  hold(id: string, token: number, startNoted: boolean, renewUntil: number): number {
    if (id.length > idLength) throw new RangeError(`${id} is not a job id: it is too long`)
    const index = this.#free.pop()
    if (index === undefined) throw new RangeError('more leases than the table has room for')
    const { shared } = this
    shared.tokens[index] = token
    this.#ids.write(id.padEnd(idLength), index * idLength, idLength, 'latin1')
    shared.startNoted[index] = startNoted ? 1 : 0
    shared.renewUntil[index] = renewUntil
    Atomics.store(shared.states, index, entryState.held)
    return index
  }

  /** Marks the start of the handler. */
  start(index: number, now: number, renewUntil: number): void {
    this.shared.startedAt[index] = now
    this.shared.renewUntil[index] = renewUntil
    Atomics.store(this.shared.states, index, entryState.running)
  }

  /** Ends renewal at the given time. */
  renewUntil(index: number, until: number): void {
    this.shared.renewUntil[index] = until
  }

  /** Ends renewal at the given time, if it does not end before. */
  renewAtMostUntil(index: number, until: number): void {
    this.shared.renewUntil[index] = Math.min(this.shared.renewUntil[index] ?? Infinity, until)
  }

  /**
   * Marks the end of the handler, and until when its lease is renewed if its settlement is not
   * written by then.
   */
  end(index: number, renewUntil: number): void {
    Atomics.store(this.shared.states, index, entryState.ended)
    this.renewAtMostUntil(index, renewUntil)
  }

  /** Renews longer what has ended: its settlement cannot be written yet. */
  keepEnded(renewUntil: number): void {
    for (const [index, state] of this.shared.states.entries()) {
      if (state === entryState.ended) this.shared.renewUntil[index] = renewUntil
    }
  }

  /** Forgets a lease. */
  drop(index: number): void {
    if (this.shared.states[index] === entryState.free) return
    Atomics.store(this.shared.states, index, entryState.free)
    this.#free.push(index)
  }

  /** Whether the renewer is idle and has not been woken yet. Asked after leases were held. */
  mustWake(): boolean {
    return Atomics.exchange(this.shared.watched, 0, 1) === 0
  }
}

/** The renewer's side of the table. */
export class LeaseReader {
  readonly #shared: SharedLeases
  readonly #ids: Buffer

  constructor(shared: SharedLeases) {
    this.#shared = shared
    this.#ids = bufferOver(shared)
  }

  /** The places of all leases that are held. */
  *held(): Iterable<number> {
    const { states } = this.#shared
    for (let index = 0; index < states.length; index++) {
      if (states[index] !== entryState.free) yield index
    }
  }

  tokenAt(index: number): number {
    return this.#shared.tokens[index] ?? 0
  }

  /** The lease at a place; null when it has not this token any more, or is free. */
  lease(index: number, token: number): LeaseRef | null {
    const from = index * idLength
    const id = this.#ids.toString('latin1', from, from + idLength).trimEnd()
    const isFree = Atomics.load(this.#shared.states, index) === entryState.free
    return isFree || this.tokenAt(index) !== token ? null : { id, token }
  }

  /** Whether to look no more until woken, since nothing is held. What is held from now on wakes. */
  rests(): boolean {
    const { states, watched } = this.#shared
    Atomics.store(watched, 0, 0)
    for (let index = 0; index < states.length; index++) {
      if (Atomics.load(states, index) === entryState.free) continue
      Atomics.store(watched, 0, 1)
      return false
    }
    return true
  }
}

function bufferOver({ ids }: SharedLeases): Buffer {
  return Buffer.from(ids.buffer, ids.byteOffset, ids.byteLength)
}
