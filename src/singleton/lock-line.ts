/** How a keeper of a lock reaches its hold loop: directly, or in a thread. */
import type { Worker as Thread } from 'node:worker_threads'
import { ErrandError, type ErrandErrorCode } from '../core/errors.ts'
import { receivedError } from '../loops/sent-error.ts'
import { stopThread } from '../loops/thread.ts'
import type { HoldLoop, HoldReport } from './hold-loop.ts'
import type { FromLockThread, ToLockThread } from './lock-thread.ts'
import type { HoldAnswer } from '../store/locks.ts'
import { clearTimeout, setTimeout } from '../core/timers.ts'

export type LineAnswer = HoldAnswer | boolean | null

export interface LockLine {
  /** Rejects with `no-thread` when its thread ends before it answers. */
  call(kind: 'take' | 'extend' | 'release'): Promise<LineAnswer>
  /** Frees the lock if it is held. Rejects when the server does not answer. */
  stop(): Promise<void>
  /** From now on it does not keep the process. */
  unref(): void
}

/** A thread that leaves a call without an answer for so long hangs, and is ended; servers are given up earlier by their clients. */
const callMs = 60_000

export function directLine(loop: HoldLoop): LockLine {
  return {
    call: async (kind) => (await loop[kind]()) ?? null,
    stop: () => loop.release(),
    unref: () => loop.unref(),
  }
}

/** Calls to a thread and their answers. */
export class ThreadLine implements LockLine {
  readonly #thread: Thread
  readonly #calls = new Map<
    number,
    { answer(value: LineAnswer): void; refuse(error: Error): void }
  >()
  #count = 0

  constructor(thread: Thread, report: (report: HoldReport) => void) {
    this.#thread = thread
    thread.on('message', (message: FromLockThread) => {
      switch (message.kind) {
        case 'answer':
          return this.#calls.get(message.call)?.answer(message.answer)
        case 'refused':
          return this.#calls
            .get(message.call)
            ?.refuse(new ErrandError(message.code as ErrandErrorCode, message.why))
        case 'failed':
          return report({ kind: 'failed', error: receivedError(message.error) })
        case 'lost':
        case 'worked':
          return report(message)
      }
    })
    thread.once('exit', () => {
      for (const waiting of this.#calls.values()) waiting.refuse(gone())
    })
  }

  call(kind: 'take' | 'extend' | 'release'): Promise<LineAnswer> {
    const call = ++this.#count
    return new Promise((resolve, reject) => {
      const end = (): void => {
        clearTimeout(timer)
        this.#calls.delete(call)
      }
      const timer = setTimeout(() => void this.#thread.terminate(), callMs)
      this.#calls.set(call, {
        answer: (value) => {
          end()
          resolve(value)
        },
        refuse: (error) => {
          end()
          reject(error)
        },
      })
      this.#send({ kind, call })
    })
  }

  stop(): Promise<void> {
    return stopThread(this.#thread, () => this.#send({ kind: 'stop' }))
  }

  unref(): void {
    this.#thread.unref()
  }

  #send(message: ToLockThread): void {
    this.#thread.postMessage(message)
  }
}

function gone(): ErrandError {
  return new ErrandError('no-thread', 'The thread that holds the lock ended, or did not answer.')
}
