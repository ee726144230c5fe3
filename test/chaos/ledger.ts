/**
 * The ledger: what every process of a run saw, kept outside the store. Each process appends to a file of its own, and the
 * kernel has an entry before its process goes on, so that a kill loses nothing that was acted upon.
 */
import { closeSync, openSync, readdirSync, readFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type { FinalState } from '../../src/core/job.ts'
import type { CancelAnswer } from '../../src/store/operators.ts'
import type { ClaimedJob } from '../../src/store/job.ts'
import type { Inserted } from '../../src/store/intake.ts'
import type { SettleAnswer } from '../../src/store/worker-calls.ts'

/** How a handler ended: what it was about to return or throw. */
export type Ending = 'returns' | 'throws' | 'gives-up' | 'postpones' | 'discards' | 'is-aborted'

/** What a process may write. */
export type Entry =
  /** A producer is about to enqueue a job with this key in its input. */
  | { readonly kind: 'intent'; readonly key: string; readonly task: string }
  /** `enqueue` resolved. */
  | {
      readonly kind: 'ack'
      readonly key: string
      readonly id: string
      readonly status: Inserted['status']
    }
  /** `enqueue` rejected; `unknown` says that the job may be there or not. */
  | {
      readonly kind: 'nack'
      readonly key: string
      readonly unknown: boolean
      readonly error: string
    }
  | { readonly kind: 'cancel'; readonly id: string; readonly answer: CancelAnswer }
  /** `claim` or `expired`, asked at a time of the machine's clock, handed a job to a worker. */
  | {
      readonly kind: 'handed'
      readonly id: string
      readonly token: number
      readonly why: ClaimedJob['why']
      readonly askedAt: number
    }
  | {
      readonly kind: 'start'
      readonly id: string
      readonly task: string
      readonly token: number
      readonly attempt: number
    }
  | { readonly kind: 'end'; readonly id: string; readonly token: number; readonly how: Ending }
  /** The store answered a settlement. */
  | {
      readonly kind: 'verdict'
      readonly id: string
      readonly token: number
      readonly decision: FinalState | 'requeue'
      readonly answer: SettleAnswer
    }
  /** The run was told to its worker's listeners as refused. */
  | { readonly kind: 'told-stale'; readonly id: string }
  /** The director did something to a process, or heard from it that it is up. */
  | { readonly kind: 'signal'; readonly process: string; readonly signal: Signal }
  /**
   * The director is about to end the server, or found that it answers again, or another one in its place; or it found that a process
   * which stands still holds the store, or let that process go on.
   */
  | { readonly kind: 'server'; readonly state: 'down' | 'up' | 'moved' | 'held' | 'free' }
  /** The server ended a connection of a process; null when it is not known of which. */
  | { readonly kind: 'terminated'; readonly process: string | null }
  /** The server changed places with another, or part of its data moved, and nothing of it may be lost. */
  | { readonly kind: 'upheaval' }
  /** A process ended without having been asked to. */
  | { readonly kind: 'died'; readonly process: string; readonly how: string }

/**
 * A signal of the system; `stop` asks to end; between `dark` and `light` nothing goes between the process and the store, and between
 * `silent` and `heard` what is sent is lost for good, and so are the connections.
 */
export type Signal =
  | 'SIGKILL'
  | 'SIGSTOP'
  | 'SIGCONT'
  | 'stop'
  | 'dark'
  | 'light'
  | 'silent'
  | 'heard'
  | 'up'

/** An entry with who wrote it, and when by the machine's clock. */
export type Line = Entry & { readonly at: number; readonly by: string }

const extension = '.ledger'

/** One process's file. */
export class Ledger {
  readonly #file: number

  constructor(folder: string, process: string) {
    this.#file = openSync(join(folder, `${process}${extension}`), 'a')
  }

  /**
   * Appends entries; the kernel has them when it returns. It does not let the event loop turn, so that a worker that was
   * stopped past its lease settles before it can learn of the loss.
   */
  write(...entries: readonly Entry[]): void {
    if (entries.length === 0) return
    const at = Date.now()
    writeSync(this.#file, entries.map((entry) => `${JSON.stringify({ at, ...entry })}\n`).join(''))
  }

  close(): void {
    closeSync(this.#file)
  }
}

/** Reads the files of all processes; lines are in the order of their times, those of one process in their own order. */
export function readLedger(folder: string): readonly Line[] {
  const files = readdirSync(folder).filter((name) => name.endsWith(extension))
  const lines = files.flatMap((name) =>
    readFile(join(folder, name), name.slice(0, -extension.length)),
  )
  return lines.toSorted((a, b) => a.at - b.at)
}

function readFile(path: string, by: string): readonly Line[] {
  // What follows the last line break was cut off by a kill: its writer never went on.
  const texts = readFileSync(path, 'utf8').split('\n').slice(0, -1)
  return texts.map((text) => ({ by, ...(JSON.parse(text) as Entry & { at: number }) }))
}
