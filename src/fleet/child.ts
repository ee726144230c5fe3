/** A child that runs isolated jobs, a thread or a process, as its worker sees it. */
import { LoggedLines, Tail } from '../worker/captured-output.ts'
import type { FromChild, ToChild } from './messages.ts'

export interface Child {
  readonly kind: 'thread' | 'process'
  /** What it writes to its standard streams. */
  readonly output: Output
  /** Resolves with how it ended, once all its earlier messages have arrived. Never rejects. */
  readonly ended: Promise<ChildEnd>
  /** Called with each message. */
  listen(hear: (message: FromChild) => void): void
  /** Throws for what cannot be copied. Does nothing for a child that has ended. */
  send(message: ToChild): void
  /** Ends it now, whatever it does, with all that it has started. */
  kill(): void
}

/** How a child ended. */
export interface ChildEnd {
  /** A clause, such as `its process was ended by SIGKILL`. */
  readonly how: string
  readonly details: Readonly<Record<string, unknown>>
  readonly cause?: unknown
}

/** Takes in standard output and standard error: for the log of the job that runs, and for errors. */
export class Output {
  readonly tail: Tail = new Tail()
  #lines: LoggedLines | null = null

  push(chunk: Buffer): void {
    this.tail.push(chunk)
    this.#lines?.push(chunk)
  }

  /** A job begins, whose log takes the lines. */
  begin(log: (line: string) => void): void {
    this.tail.clear()
    this.#lines = new LoggedLines(log)
  }

  end(): void {
    this.#lines?.end()
    this.#lines = null
  }
}

/** Says nothing where there is no limit. */
export function ofMemory(memoryMb: number | null): string {
  return memoryMb === null ? '' : ` of ${memoryMb} MB`
}
