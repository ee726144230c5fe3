/**
 * One reader of events, as server-sent events. What it has not read yet is bounded in bytes: a reader
 * that is too slow is cut off, and comes back with the id of the last event that it got.
 */
import type { Clock } from '../../core/clock.ts'

export const streamBounds = {
  /** What may wait for one reader, in bytes. */
  waitingBytes: 1_048_576,
  pingMs: 15_000,
  /** How soon a reader comes back, as it is told, in ms. */
  retryMs: 2_000,
  /** Readers of one process. */
  streams: 1_000,
} as const

/** Against proxies that gather, change or keep what passes. */
export const streamHeaders = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-cache, no-transform',
  'x-accel-buffering': 'no',
} as const

export class EventStream {
  readonly body: ReadableStream<Uint8Array>
  readonly #encoder = new TextEncoder()
  readonly #clock: Clock
  #controller: ReadableStreamDefaultController<Uint8Array> | null = null
  #stopPing: () => void = () => undefined
  readonly #ended: () => void

  /** `ended` is called once, however the stream ends. */
  constructor(clock: Clock, ended: () => void) {
    this.#clock = clock
    this.#ended = ended
    this.body = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller
        },
        cancel: () => this.#end(),
      },
      { highWaterMark: streamBounds.waitingBytes, size: (chunk) => chunk.byteLength },
    )
    this.#write(`retry: ${streamBounds.retryMs}\n\n`)
    this.#pingLater()
  }

  /** Sends an event. JSON has no line ends. */
  send(name: string, id: string, data: string): void {
    this.#write(`event: ${name}\nid: ${id}\ndata: ${data}\n\n`)
  }

  /** Ends the stream once what waits was read. */
  close(): void {
    const controller = this.#controller
    this.#end()
    controller?.close()
  }

  #write(text: string): void {
    const controller = this.#controller
    if (controller === null) return
    const chunk = this.#encoder.encode(text)
    if ((controller.desiredSize ?? 0) >= chunk.byteLength) return controller.enqueue(chunk)
    this.#end()
    controller.error(new Error('The reader is too slow.'))
  }

  #pingLater(): void {
    this.#stopPing = this.#clock.after(streamBounds.pingMs, () => {
      this.#write(': ping\n\n')
      if (this.#controller !== null) this.#pingLater()
    })
  }

  #end(): void {
    if (this.#controller === null) return
    this.#controller = null
    this.#stopPing()
    this.#ended()
  }
}
