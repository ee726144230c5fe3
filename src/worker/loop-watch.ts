/**
 * Names tasks that keep the event loop from turning: while it stands still no other job of the
 * worker goes on, and no timeout or cancel is seen.
 */
import { performance as node } from 'node:perf_hooks'
import { clearInterval, performance, setInterval } from '../core/timers.ts'
import type { EventHub } from '../observe/events.ts'
import type { Attempt } from './attempt.ts'

/** How often the loop is looked at, and for how long it may stand still, in milliseconds. */
const lookMs = 500
export const longestTurnMs: number = 1_000

export class LoopWatch {
  readonly #events: EventHub
  readonly #running: () => Iterable<Attempt>
  readonly #named = new Set<string>()
  #timer: NodeJS.Timeout | null = null
  #lookedAt = 0
  #used = node.eventLoopUtilization()
  /** What ran at the last look. */
  #ran: ReadonlySet<string> = new Set()

  constructor(events: EventHub, running: () => Iterable<Attempt>) {
    this.#events = events
    this.#running = running
  }

  start(): void {
    this.#lookedAt = performance.now()
    this.#timer = setInterval(() => this.#look(), lookMs)
    this.#timer.unref()
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
  }

  /** A handler kept the loop for so long before it returned or first waited. */
  blocked({ rules: { definition } }: Attempt, blockedMs: number): void {
    if (definition !== null) this.#name([definition.name], blockedMs)
    // The next look finds the same turn.
    this.#lookedAt = performance.now()
  }

  #look(): void {
    const now = performance.now()
    const lateMs = now - this.#lookedAt - lookMs
    const used = node.eventLoopUtilization()
    const ran = new Set<string>()
    for (const { rules } of this.#running()) {
      const { definition } = rules
      if (definition !== null && definition.isolate === null && definition.exec === null)
        ran.add(definition.name)
    }
    // A process that was stopped, or a machine that slept, was late without having worked.
    const workedMs = used.active - this.#used.active
    if (lateMs >= longestTurnMs && workedMs >= longestTurnMs)
      this.#name([...new Set([...this.#ran, ...ran])], lateMs)
    this.#lookedAt = now
    this.#used = used
    this.#ran = ran
  }

  /** Each task once; of several, one that was named before is taken to be it again. */
  #name(tasks: readonly string[], blockedMs: number): void {
    if (tasks.length === 0 || tasks.some((task) => this.#named.has(task))) return
    for (const task of tasks) this.#named.add(task)
    this.#events.warn('task-blocks-loop', { tasks, blockedMs: Math.round(blockedMs) })
  }
}
