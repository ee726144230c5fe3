/** A broker in memory: a shelf of messages, of which each connection holds some. */
import type { Source, SourceConnection, SourceMessage, SourceOptions } from '../../src/index.ts'

export class Shelf {
  readonly acknowledged: string[] = []
  readonly givenBack: string[] = []
  readonly aside: string[] = []
  connects = 0
  /** The most that was held at a time. */
  mostHeld = 0
  /** Thrown by the next connects. */
  refuses: Error | null = null
  /** Thrown by the next acknowledgements. */
  deaf: Error | null = null
  readonly #waiting: SourceMessage[] = []
  readonly #held = new Set<SourceMessage>()
  readonly #cuts = new Set<(error: Error) => void>()
  readonly #wake = new Set<() => void>()

  put(
    body: string | Uint8Array,
    id: string | null = null,
    headers: Record<string, string> = {},
  ): void {
    const bytes = Buffer.from(body)
    this.#waiting.push({ queue: 'etl', id, body: bytes, size: bytes.length, headers })
    for (const wake of this.#wake) wake()
  }

  source(options: SourceOptions = {}): Source {
    return { ...options, name: 'shelf', connect: async () => this.#connect() }
  }

  /** Loses all connections. */
  cut(): void {
    for (const cut of this.#cuts) cut(new Error('the shelf fell'))
  }

  #connect(): SourceConnection {
    if (this.refuses !== null) throw this.refuses
    this.connects++
    const lost = new AbortController()
    const mine = new Set<SourceMessage>()
    const end = (error: Error): void => {
      this.#cuts.delete(end)
      for (const message of mine) this.#held.delete(message)
      // The same message comes again as another object.
      this.#waiting.unshift(...[...mine].map((message) => ({ ...message })))
      mine.clear()
      lost.abort(error)
    }
    const drop = (message: SourceMessage): void => {
      mine.delete(message)
      this.#held.delete(message)
    }
    this.#cuts.add(end)
    return {
      lost: lost.signal,
      pull: async (room, signal) => {
        while (this.#waiting.length === 0 && !signal.aborted && !lost.signal.aborted)
          await this.#arrival(AbortSignal.any([signal, lost.signal]))
        if (lost.signal.aborted) throw lost.signal.reason
        const messages = this.#waiting.splice(0, room.messages)
        for (const message of messages) {
          mine.add(message)
          this.#held.add(message)
        }
        this.mostHeld = Math.max(this.mostHeld, this.#held.size)
        return messages
      },
      acknowledge: async (messages) => {
        if (lost.signal.aborted) throw lost.signal.reason
        if (this.deaf !== null) throw this.deaf
        for (const message of messages) {
          this.acknowledged.push(Buffer.from(message.body).toString())
          drop(message)
        }
      },
      giveBack: async (messages) => {
        for (const message of messages) {
          this.givenBack.push(Buffer.from(message.body).toString())
          drop(message)
        }
        this.#waiting.unshift(...messages)
      },
      setAside: async (message) => {
        this.aside.push(message.id ?? '')
        return 'on the upper shelf'
      },
      close: async () => end(new Error('closed')),
    }
  }

  #arrival(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#wake.delete(wake)
        signal.removeEventListener('abort', wake)
        resolve()
      }
      this.#wake.add(wake)
      signal.addEventListener('abort', wake, { once: true })
    })
  }
}
