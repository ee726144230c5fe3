/**
 * Receives from queues ahead of whoever pulls: each queue has one long poll under way, and up to four while its answers are
 * full. What arrives waits in an inbox until it is pulled; no more is requested than there is room for.
 */
import type { SourceMessage, SourceRoom } from '../source.ts'
import { mostEntries } from './batches.ts'
import type { QueuePlace } from './queue-place.ts'

/** Receives at most so many messages from a queue. */
export type Receive = (queue: QueuePlace, most: number) => Promise<readonly SourceMessage[]>

/** Long polls of one queue at a time. */
const mostPolls = 4

interface Lane {
  readonly queue: QueuePlace
  polls: number
  /** How many polls it is worth. */
  worth: number
}

export class Receiver {
  readonly #receive: Receive
  readonly #lanes: readonly Lane[]
  readonly #inbox: SourceMessage[] = []
  #inboxBytes = 0
  #asked = 0
  #first = 0
  #event = Promise.withResolvers<void>()
  #failure: { readonly error: unknown } | null = null

  constructor(queues: readonly QueuePlace[], receive: Receive) {
    this.#receive = receive
    this.#lanes = queues.map((queue) => ({ queue, polls: 0, worth: 1 }))
  }

  /** Resolves with messages, or with none when a poll ended without, or the signal aborted. Rejects when a poll failed. */
  async pull(room: Required<SourceRoom>, signal: AbortSignal): Promise<readonly SourceMessage[]> {
    if (this.#inbox.length === 0) {
      this.#poll(room)
      await this.#anything(signal)
    }
    if (this.#failure !== null) throw this.#failure.error
    const taken = this.#take(room)
    const bytes = taken.reduce((sum, { body }) => sum + body.length, 0)
    this.#poll({ messages: room.messages - taken.length, bytes: room.bytes - bytes })
    return taken
  }

  #poll(room: Required<SourceRoom>): void {
    // Another queue is the first each time, so that none is left out where there is little room.
    const from = this.#first++ % this.#lanes.length
    const lanes = [...this.#lanes.slice(from), ...this.#lanes.slice(0, from)]
    for (const lane of lanes) {
      while (lane.polls < lane.worth) {
        const free = room.messages - this.#inbox.length - this.#asked
        if (free <= 0 || this.#inboxBytes >= room.bytes) return
        void this.#ask(lane, Math.min(mostEntries, free))
      }
    }
  }

  async #ask(lane: Lane, most: number): Promise<void> {
    lane.polls++
    this.#asked += most
    try {
      const came = await this.#receive(lane.queue, most)
      for (const { body } of came) this.#inboxBytes += body.length
      this.#inbox.push(...came)
      lane.worth = came.length === most ? Math.min(mostPolls, lane.worth + 1) : 1
    } catch (error) {
      this.#failure ??= { error }
    } finally {
      lane.polls--
      this.#asked -= most
      this.#event.resolve()
      this.#event = Promise.withResolvers()
    }
  }

  async #anything(signal: AbortSignal): Promise<void> {
    if (signal.aborted || this.#failure !== null) return
    const { promise } = this.#event
    const aborted = Promise.withResolvers<void>()
    const abort = (): void => aborted.resolve()
    signal.addEventListener('abort', abort)
    await Promise.race([promise, aborted.promise])
    signal.removeEventListener('abort', abort)
  }

  /** From the inbox as much as there is room for; at least one message. */
  #take(room: Required<SourceRoom>): readonly SourceMessage[] {
    let bytes = 0
    let count = 0
    for (const { body } of this.#inbox) {
      bytes += body.length
      if (count >= room.messages || (count > 0 && bytes > room.bytes)) break
      count++
    }
    const taken = this.#inbox.splice(0, count)
    for (const { body } of taken) this.#inboxBytes -= body.length
    return taken
  }
}
