/**
 * The ledger: what every process of a run saw, kept outside the store. Each process appends to a file of its own, and an
 * entry is on the disk before its process goes on, so that a kill loses nothing that was acted upon.
 */
import { closeSync, fdatasyncSync, openSync, readdirSync, readFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type { FinalState } from '../../src/core/job.ts'
import type { CancelAnswer, ClaimedJob, Inserted, SettleAnswer } from '../../src/store.ts'

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
  /** `enqueue` rejected. */
  | { readonly kind: 'nack'; readonly key: string; readonly error: string }
  | { readonly kind: 'cancel'; readonly id: string; readonly answer: CancelAnswer }
  /** `claim` or `expired` handed a job to a worker, at the store's time. */
  | {
      readonly kind: 'handed'
      readonly id: string
      readonly token: number
      readonly why: ClaimedJob['why']
      readonly storeNow: number
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
      readonly decision: FinalState | 'again'
      readonly answer: SettleAnswer
    }
  /** The run was told to its worker's listeners as refused. */
  | { readonly kind: 'told-stale'; readonly id: string }
  /** The director sent a signal to a process, or asked it to stop. */
  | { readonly kind: 'signal'; readonly process: string; readonly signal: Signal }
  /** A process ended without having been asked to. */
  | { readonly kind: 'died'; readonly process: string; readonly how: string }

export type Signal = 'SIGKILL' | 'SIGSTOP' | 'SIGCONT' | 'stop'

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
   * Appends entries; they are on the disk when it returns. It does not let the event loop turn, so that a worker that was
   * stopped past its lease settles before it can learn of the loss.
   */
  write(...entries: readonly Entry[]): void {
    if (entries.length === 0) return
    const at = Date.now()
    writeSync(this.#file, entries.map((entry) => `${JSON.stringify({ at, ...entry })}\n`).join(''))
    fdatasyncSync(this.#file)
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
