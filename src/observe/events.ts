/**
 * What Errand reports about itself while it works. Logging, metrics and dashboards subscribe; nothing
 * else writes or prints.
 */

import type { HoldReason } from '../core/hold-reason.ts'
import type { LogLevel } from '../core/job.ts'
import type { CallName } from '../store/calls.ts'
import type { Tracing } from './tracing.ts'
import { warningOf, type Warning, type WarningCode, type WarningFacts } from './warnings.ts'

/** Everything that can be observed, by name. */
export interface Events {
  /** An attempt's handler is about to be called. */
  'run-started': RunFacts
  /** An attempt ended and its settlement was accepted, or refused as stale. */
  'run-ended': RunFacts & {
    readonly outcome:
      | 'completed'
      | 'failed'
      | 'retry'
      | 'postponed'
      | 'discarded'
      | 'cancelled'
      | 'interrupted'
      | 'stale'
    readonly durationMs: number
    /** From when the job was due to this start, for the first run of a job; null for later ones. */
    readonly waitMs: number | null
    /** From the enqueue to this end, where the job has ended; null where it has not. */
    readonly totalMs: number | null
    readonly error: unknown
    /** Milliseconds until the next run, when there is one. */
    readonly againMs: number | null
  }
  /** The sweeper settled a job whose worker died or whose clock ran out. */
  'job-rescued': {
    readonly id: string
    readonly task: string
    readonly queue: string
    readonly why: 'lost' | 'overdue' | 'unreadable'
    readonly to: string
  }
  /** A job was given back because this worker does not know its task or codec. */
  'job-unknown': {
    readonly id: string
    readonly task: string
    readonly queue: string
    readonly againMs: number
  }
  /** A handler ignored its abort; its slot stays taken and its lease is no longer renewed. */
  'run-stuck': RunFacts & { readonly ranMs: number }
  'worker-started': {
    readonly worker: string
    readonly queues: readonly string[]
    readonly slots: number
  }
  /** A worker claims nothing for now; emitted again when the reasons change. */
  'worker-paused': { readonly worker: string; readonly reasons: readonly HoldReason[] }
  'worker-resumed': { readonly worker: string }
  /** A worker is about to stop by itself: an operator ordered it, or a burst is over. */
  'worker-ending': {
    readonly worker: string
    readonly why: 'drain' | 'stop' | 'restart' | 'burst'
    /** Who gave the order, and what they noted. */
    readonly by: string | null
    readonly note: string | null
  }
  'worker-stopping': { readonly worker: string; readonly running: number }
  'worker-stopped': { readonly worker: string; readonly clean: boolean }
  /** A part of a worker failed and will try again. */
  'part-failed': {
    readonly part: string
    readonly error: unknown
    /** When it is tried again; null when it is not. */
    readonly againMs: number | null
  }
  /** A part that had failed works again. */
  'part-recovered': { readonly part: string; readonly failures: number }
  /** Another process has the lock of a singleton; emitted once for each owner. */
  'singleton-waiting': {
    readonly singleton: string
    readonly owner: { readonly host: string; readonly pid: number | null } | null
  }
  /** The handler of a singleton wrote a line. */
  'singleton-log': {
    readonly singleton: string
    readonly level: LogLevel
    readonly text: string
    readonly fields: object
  }
  /** A round of a singleton that ran has ended. */
  'singleton-ended': {
    readonly singleton: string
    readonly status: 'succeeded' | 'failed' | 'pending' | 'interrupted' | 'killed'
    readonly durationMs: number
    readonly error: unknown
  }
  /** A schedule enqueued the job of a tick, or left the tick out because of an earlier one. */
  'tick-fired': {
    readonly schedule: string
    readonly plannedAt: Date
    readonly job: string
    readonly status: 'created' | 'skipped'
    /** How long after its planned time. */
    readonly lagMs: number
  }
  /** A call of the store has ended. */
  'store-called': {
    readonly call: CallName
    readonly durationMs: number
    readonly failed: boolean
  }
  /** A source hands out messages from now on. */
  'source-connected': { readonly source: string }
  /** No job could be made of a message: it is kept as a job that has failed, for an operator to look at. */
  'message-parked': {
    readonly source: string
    /** The broker's queue. */
    readonly queue: string
    readonly job: string
    readonly error: unknown
  }
  /** The manager has answered a request. Its query and its body are left out. */
  'request-ended': {
    readonly method: string
    /** The pattern of the path, such as `/v1/jobs/{id}`; null for an unknown path. */
    readonly route: string | null
    readonly status: number
    readonly durationMs: number
    /** The id of the caller's token; null for none. */
    readonly token: string | null
    /** Whether it is only a health check. */
    readonly isProbe: boolean
  }
  /** Something a person should know. */
  warning: Warning
}

interface RunFacts {
  readonly worker: string
  readonly id: string
  readonly task: string
  readonly queue: string
  readonly attempt: number
}

export type EventName = keyof Events

const named: Readonly<Record<EventName, true>> = {
  'run-started': true,
  'run-ended': true,
  'job-rescued': true,
  'job-unknown': true,
  'run-stuck': true,
  'worker-started': true,
  'worker-paused': true,
  'worker-resumed': true,
  'worker-ending': true,
  'worker-stopping': true,
  'worker-stopped': true,
  'part-failed': true,
  'part-recovered': true,
  'singleton-waiting': true,
  'singleton-log': true,
  'singleton-ended': true,
  'tick-fired': true,
  'store-called': true,
  'source-connected': true,
  'message-parked': true,
  'request-ended': true,
  warning: true,
}

/** The names of all events. */
export const eventNames: readonly string[] = Object.keys(named)
type Listener<Name extends EventName> = (event: Events[Name]) => void

/**
 * Hands events to their listeners, in the order of subscription. What a listener throws never reaches
 * the sender: it is reported as a `warning`, once for each listener.
 */
export class EventHub {
  /** How traces follow jobs; null where nobody traces. */
  tracing: Tracing | null = null
  /** Whether anybody hears of failing parts: a log, or a listener of the user's. */
  isHeard = false
  readonly #listeners = new Map<EventName, Set<Listener<never>>>()
  /** Listeners that have failed. */
  readonly #reported = new WeakSet<object>()

  /** Subscribes; the function returned unsubscribes. */
  on<Name extends EventName>(name: Name, listener: Listener<Name>): () => void {
    const listeners = this.#listeners.get(name) ?? new Set()
    this.#listeners.set(name, listeners)
    listeners.add(listener)
    return () => void listeners.delete(listener)
  }

  /** Whether anybody listens, so that a busy sender can skip making the event. */
  has(name: EventName): boolean {
    return (this.#listeners.get(name)?.size ?? 0) > 0
  }

  /** Emits a warning, with the sentence that belongs to its code. */
  warn<Code extends WarningCode>(code: Code, facts: WarningFacts[Code]): void {
    this.emit('warning', warningOf(code, facts))
  }

  emit<Name extends EventName>(name: Name, event: Events[Name]): void {
    for (const listener of this.#listeners.get(name) ?? []) {
      try {
        const told: unknown = (listener as (event: Events[Name]) => unknown)(event)
        // It may be an async function: nobody waits for it, and its failure counts as a throw.
        if (told instanceof Promise)
          told.catch((error: unknown) => this.#failed(name, listener, error))
      } catch (error) {
        this.#failed(name, listener, error)
      }
    }
  }

  #failed(event: EventName, listener: object, error: unknown): void {
    if (event === 'warning' || this.#reported.has(listener)) return
    this.#reported.add(listener)
    this.warn('listener-failed', { event, error })
  }
}
