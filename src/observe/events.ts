/**
 * What Errand tells about itself while it works. Logging, metrics and dashboards subscribe; nothing
 * else speaks.
 */

import type { LogLevel } from '../core/job.ts'
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
  /** Another process has the lock of a singleton; told once for each owner. */
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
  'worker-stopping': true,
  'worker-stopped': true,
  'part-failed': true,
  'part-recovered': true,
  'singleton-waiting': true,
  'singleton-log': true,
  'singleton-ended': true,
  warning: true,
}

/** The names of all events. */
export const eventNames: readonly string[] = Object.keys(named)
type Listener<Name extends EventName> = (event: Events[Name]) => void

/**
 * Hands events to their listeners, in the order of subscription. A listener that throws is reported
 * as a `warning`, never to the sender.
 */
export class EventHub {
  readonly #listeners = new Map<EventName, Set<Listener<never>>>()

  /** Subscribes; the answer unsubscribes. */
  on<Name extends EventName>(name: Name, listener: Listener<Name>): () => void {
    const listeners = this.#listeners.get(name) ?? new Set()
    this.#listeners.set(name, listeners)
    listeners.add(listener)
    return () => void listeners.delete(listener)
  }

  /** Tells whether anybody listens, so that a busy sender can spare itself the event. */
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
        ;(listener as Listener<Name>)(event)
      } catch (error) {
        if (name !== 'warning') this.warn('listener-failed', { event: name, error })
      }
    }
  }
}
