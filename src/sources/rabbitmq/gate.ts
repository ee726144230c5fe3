/**
 * Bounds the bytes that a connection takes in. The broker's own bound counts messages, however long they are, so the
 * connection stops reading its socket while too much is held: the rest waits in the broker and the network.
 *
 * While it is shut, a chunk passes from time to time, so that the heartbeats of a broker that is well are seen.
 */
import type { ChannelModel } from 'amqplib'
import { clearInterval, setInterval } from '../../core/timers.ts'

/** The socket of a connection, as amqplib reads it. */
interface Socket {
  read: (size?: number) => unknown
  emit(event: 'readable'): unknown
}

export class Gate {
  readonly #socket: Socket | null
  readonly #read: Socket['read']
  readonly #peekMs: number
  #isShut = false
  #peek: NodeJS.Timeout | null = null

  /** `peekMs` is how often a chunk passes while it is shut. */
  constructor(model: ChannelModel, peekMs: number) {
    const { stream } = model.connection as { readonly stream?: Socket }
    this.#socket = stream ?? null
    this.#read = stream?.read.bind(stream) ?? (() => null)
    this.#peekMs = peekMs
    if (stream !== undefined) stream.read = (size) => this.#readNow(size)
  }

  /** Stops reading, or goes on. */
  set isShut(isShut: boolean) {
    if (isShut === this.#isShut) return
    this.#isShut = isShut
    if (isShut) this.#peek = setInterval(() => this.#passOne(), this.#peekMs).unref()
    else {
      this.end()
      this.#socket?.emit('readable')
    }
  }

  /** Ends its timer, with the connection. */
  end(): void {
    if (this.#peek !== null) clearInterval(this.#peek)
    this.#peek = null
  }

  /** A read of 0 only fills the socket's own small buffer. */
  #readNow(size: number | undefined): unknown {
    return this.#isShut && size !== 0 ? null : this.#read(size)
  }

  #passOne(): void {
    const socket = this.#socket
    if (socket === null) return
    let isPassed = false
    const whole = socket.read
    socket.read = (size) => {
      if (size === 0) return this.#read(0)
      if (isPassed) return null
      isPassed = true
      return this.#read(size)
    }
    socket.emit('readable')
    socket.read = whole
  }
}
