/** Another process beside the measuring one: a file of `bench/peers/`, talked to by messages. */
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'

export class Peer {
  readonly #child: ChildProcess

  constructor(file: URL, given: unknown) {
    this.#child = fork(file, [JSON.stringify(given)], { serialization: 'advanced' })
  }

  send(message: string): void {
    this.#child.send(message)
  }

  /** The next message that it sends. Rejects when it ends instead. */
  async next<T>(): Promise<T> {
    const over = new AbortController()
    const { signal } = over
    const ended = once(this.#child, 'exit', { signal }).then(([code]) => {
      throw new Error(`a peer ended with ${String(code)}`)
    })
    try {
      const [message] = (await Promise.race([once(this.#child, 'message', { signal }), ended])) as [
        T,
      ]
      return message
    } finally {
      over.abort()
      ended.catch(() => undefined)
    }
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
