/**
 * The boundary between Errand and message brokers: what a source of messages must do. Whoever writes one
 * proves it with the rules of `errand/conformance`.
 *
 * A message is held from the moment it is handed out until it is acknowledged, returned or lost with its
 * connection: meanwhile the broker gives it to nobody else, and the source does what that takes, such as
 * to extend a visibility timeout. Errand stores a job for each message and acknowledges it right after.
 * If the outcome of that is unknown, it keeps trying under the same id while the message is held.
 */
import type { Duration } from '../core/duration.ts'

/** A place that messages come from, as `createErrand({ sources })` takes it. Opens nothing by itself. */
export interface Source extends SourceOptions {
  /** Stands in health, events and the identities of messages. Unique in an app, the same in all its processes. */
  readonly name: string
  /**
   * Connects, within 30 s. Rejects when it cannot, and is called again after a pause, for as long as it takes. With
   * `signal` aborted it gives up.
   */
  connect(signal: AbortSignal): Promise<SourceConnection>
}

/** What every source takes beside its own options. */
export interface SourceOptions {
  /** For how long at least a message that was stored is known by its identity. Default `'24h'`. */
  readonly dedupe?: Duration
  /**
   * How a repeated message is recognised. `message`, the default: the id that it bears; one without an id, delivered again after a
   * crash, may make a second job. `hash`: a message without an id is known by its queue and body, for those whose
   * equal bodies are repeats.
   */
  readonly identity?: 'message' | 'hash'
  /** The most that is held at a time, over all queues: messages, by default 2,000, and bytes, by default 32 MiB. */
  readonly prefetch?: SourceRoom
}

/** A bound of what is held, or how much of it is left. */
export interface SourceRoom {
  readonly messages?: number
  /** Of bodies. One message may exceed it, when nothing else is held. */
  readonly bytes?: number
}

/** One connection, for as long as it lasts; another one comes after it. */
export interface SourceConnection {
  /** Aborts when the connection is lost, with the error as its reason: what it had handed out is not held any more. */
  readonly lost: AbortSignal
  /**
   * Resolves with messages as soon as there are some, or after at most 30 s with none, or when the signal aborts. No
   * more than there is room for. Rejects when the connection is lost.
   */
  pull(room: Required<SourceRoom>, signal: AbortSignal): Promise<readonly SourceMessage[]>
  /** Jobs of these are stored, so the broker may forget them. Rejects when the broker may not have learned it. */
  acknowledge(messages: readonly SourceMessage[]): Promise<void>
  /** Gives messages back, to be handed out again, to anyone, soon. */
  giveBack(messages: readonly SourceMessage[]): Promise<void>
  /**
   * Has the broker keep a message that is too long for a job, durably and apart from the others, and resolves with where that is,
   * in words. The message is still held. What is done only at the acknowledgement, such as a rejection that dead-letters, is done then.
   */
  setAside(message: SourceMessage): Promise<string>
  /** Releases what is held, and the connection. Resolves within 5 s, even when the broker is gone. */
  close(): Promise<void>
}

/** One message as it was handed out. The same object goes back to `acknowledge`, `giveBack` and `setAside`. */
export interface SourceMessage {
  /** The name of the broker's queue, topic or stream that it came from. */
  readonly queue: string
  /** What the broker or its producer know it by, the same whenever it is delivered; null for nothing. */
  readonly id: string | null
  /** At least the first 64 KiB of a message that is longer than 1 MiB, else all of it. */
  readonly body: Uint8Array
  /** The length of the whole body, in bytes. */
  readonly size: number
  /** Texts that came with it, by name: those that fit become headers of the job, such as `correlation-id` and `reply-to`. */
  readonly headers: Readonly<Record<string, string>>
}
