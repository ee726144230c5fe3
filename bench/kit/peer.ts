/** Another process beside the measuring one: a file of `bench/peers/`, talked to by messages. */
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'

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

  /** The next message that it sends. Rejects when it ends instead. */
  async next<T>(): Promise<T> {
    while (this.#inbox.length === 0) {
      if (this.#isGone) throw new Error('a peer ended without a further word')
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
    return this.#inbox.shift() as T
  }

  /** Resolves when it has ended by itself; rejects when it failed. */
  async ended(): Promise<void> {
    if (this.#child.exitCode === null) await once(this.#child, 'exit')
    if (this.#child.exitCode !== 0)
      throw new Error(`a peer ended with ${String(this.#child.exitCode)}`)
  }
}

/** What a peer was given. */
export function given<T>(): T {
  return JSON.parse(process.argv[2] ?? 'null') as T
}

/** Tells the measuring process something. */
export function tell(message: unknown): void {
  process.send?.(message)
}

/** The measuring process's next word. */
export async function told(): Promise<string> {
  const [message] = (await once(process, 'message')) as [string]
  return message
}
