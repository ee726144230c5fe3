/** Another process beside the measuring one: a file of `bench/peers/`, talked to by messages. */
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'

/** A process that says nothing for so long hangs. */
const silentMs = 170_000

export class Peer {
  readonly #child: ChildProcess
  /** Messages that came and were not asked for yet. */
  readonly #inbox: unknown[] = []
  #wake: () => void = () => undefined
  #isGone = false

  constructor(file: URL, given: unknown) {
    this.#child = fork(file, [JSON.stringify(given)], { serialization: 'advanced' })
    this.#child.on('message', (message) => {
      this.#inbox.push(message)
      this.#wake()
    })
    // Comes after the last message, which the end of the process may not.
    this.#child.on('disconnect', () => {
      this.#isGone = true
      this.#wake()
    })
  }

  send(message: string): void {
    this.#child.send(message)
  }

  /** The next message that it sends. Rejects when it ends instead, which it is made to when it hangs. */
  async next<T>(): Promise<T> {
    const overdue = setTimeout(() => this.kill(), silentMs)
    try {
      while (this.#inbox.length === 0) {
        if (this.#isGone) {
          await this.ended()
          throw new Error('a peer ended without a further word')
        }
        await new Promise<void>((resolve) => (this.#wake = resolve))
      }
      return this.#inbox.shift() as T
    } finally {
      clearTimeout(overdue)
    }
  }

  /** Ends it at once, if it has not ended. */
  kill(): void {
    this.#child.kill('SIGKILL')
  }

  /** Resolves when it has ended by itself; rejects when it failed. */
  async ended(): Promise<void> {
    const overdue = setTimeout(() => this.kill(), silentMs)
    if (this.#child.exitCode === null && this.#child.signalCode === null)
      await once(this.#child, 'exit')
    clearTimeout(overdue)
    const { exitCode, signalCode } = this.#child
    if (exitCode !== 0) throw new Error(`a peer ended with ${String(exitCode ?? signalCode)}`)
  }
}

/** What a peer was given. */
export function given<T>(): T {
  return JSON.parse(process.argv[2] ?? 'null') as T
}

/** Tells the measuring process something; resolves when it is on its way, before which the process may not let go of the channel. */
export function tell(message: unknown): Promise<void> {
  return new Promise((resolve, reject) => {
    process.send?.(message, (error: Error | null) => (error === null ? resolve() : reject(error)))
  })
}

/** The measuring process's next word. */
export async function told(): Promise<string> {
  const [message] = (await once(process, 'message')) as [string]
  return message
}
