/**
 * Hears from a manager what may have happened: one stream of events for a process, opened while somebody watches. What was missed
 * while there was none is made up for by all hints at once. Modes: off → opening → open → pausing, with back-off, → opening.
 */
import type { ClientRequest, IncomingMessage } from 'node:http'
import type { Hint, Unwatch } from '../../store/worker-calls.ts'
import { clearTimeout, setTimeout } from '../../core/timers.ts'
import { hintKinds, HintBoard } from '../hint-board.ts'
import type { Channel } from './channel.ts'

/** A manager says something every 15 s: one that is silent for longer than this has gone. */
const silenceMs = 40_000
const pauses = { firstMs: 100, mostMs: 5_000 } as const

export class HintStream {
  readonly #channel: Channel
  readonly #headers: Readonly<Record<string, string>>
  readonly #board = new HintBoard()
  #request: ClientRequest | null = null
  #timer: NodeJS.Timeout | undefined
  #failures = 0

  constructor(channel: Channel, headers: Readonly<Record<string, string>>) {
    this.#channel = channel
    this.#headers = headers
  }

  watch(on: (hint: Hint) => void): Unwatch {
    const unwatch = this.#board.add(on)
    if (this.#request === null && this.#timer === undefined) this.#open()
    return () => {
      unwatch()
      if (!this.#board.isWatched) this.#stop()
    }
  }

  close(): void {
    this.#board.clear()
    this.#stop()
  }

  #stop(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const request = this.#request
    this.#request = null
    request?.destroy()
  }

  #open(): void {
    this.#timer = undefined
    const request = this.#channel.stream(
      { method: 'GET', path: '/v1/store/watch', headers: this.#headers, body: null },
      (answer) => {
        if (request !== this.#request) return
        if (answer.statusCode === 200) this.#read(answer, request)
        else request.destroy()
      },
    )
    this.#request = request
    this.#expect(request)
    request.on('error', () => undefined)
    request.on('close', () => this.#ended(request))
  }

  #read(answer: IncomingMessage, request: ClientRequest): void {
    this.#failures = 0
    // Whatever happened before this, nobody told.
    this.#board.giveAll()
    answer.setEncoding('utf8')
    answer.on('error', () => undefined)
    let line = ''
    answer.on('data', (text: string) => {
      this.#expect(request)
      const lines = (line + text).split('\n')
      // No line of a manager is longer.
      line = (lines.pop() ?? '').slice(-100)
      for (const one of lines) this.#hear(one)
    })
  }

  #hear(line: string): void {
    const hint = hintKinds.find((kind) => line === `data: ${kind}`)
    if (hint !== undefined) this.#board.give(hint)
  }

  /** Ends a stream on which nothing is heard for too long. */
  #expect(request: ClientRequest): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => request.destroy(), silenceMs)
    this.#timer.unref()
  }

  #ended(request: ClientRequest): void {
    if (request !== this.#request) return
    this.#request = null
    clearTimeout(this.#timer)
    const ms = Math.min(pauses.firstMs * 2 ** this.#failures, pauses.mostMs)
    this.#failures = Math.min(this.#failures + 1, 10)
    this.#timer = setTimeout(() => this.#open(), ms * (0.5 + Math.random() / 2))
    this.#timer.unref()
  }
}
