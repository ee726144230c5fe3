/** Progress and log lines of running jobs: gathered, and written together at a bounded pace. */
import { keptLogLines, type LogLevel } from '../core/job.ts'
import type { EventHub } from '../observe/events.ts'
import type { Note, Store } from '../store.ts'
import type { Attempt } from './attempt.ts'
import { answered, Health, mayPass } from './supervised.ts'
import type { Ticks } from './time.ts'

/** Where attempts leave their notes. */
export interface JobNotes {
  progress(attempt: Attempt, json: string): void
  log(attempt: Attempt, level: LogLevel, text: string): void
}

/** At most one write in this time. */
const paceMs = 50
const longestLine = 10_000
const batch = 1_000

interface Pending {
  progress: string | null
  readonly lines: { readonly at: number; readonly level: LogLevel; readonly text: string }[]
}

export class Notes implements JobNotes {
  readonly health: Health
  readonly #store: Store
  readonly #ticks: Ticks
  readonly #pending = new Map<Attempt, Pending>()
  readonly #taken = new WeakMap<Attempt, number>()
  #sending: ReadonlySet<Attempt> = new Set()
  #timer: (() => void) | null = null
  #flushing: Promise<void> | null = null

  constructor(store: Store, events: EventHub, ticks: Ticks) {
    this.#store = store
    this.#ticks = ticks
    this.health = new Health('notes', events)
  }

  progress(attempt: Attempt, json: string): void {
    this.#of(attempt).progress = json
  }

  log(attempt: Attempt, level: LogLevel, text: string): void {
    const taken = this.#taken.get(attempt) ?? 0
    if (taken >= keptLogLines) return
    this.#taken.set(attempt, taken + 1)
    const cut = text.length > longestLine ? `${text.slice(0, longestLine)}…` : text
    this.#of(attempt).lines.push({ at: this.#ticks(), level, text: cut })
  }

  /** Writes what an attempt has left, so that its settlement may follow; drops it when that fails, since a job is worth more. */
  async flush(attempt: Attempt): Promise<void> {
    while (this.#pending.has(attempt)) {
      this.#timer?.()
      this.#timer = null
      await (this.#flushing ?? this.#write())
      if (this.health.failures > 0) this.#pending.delete(attempt)
    }
    await this.#flushing
  }

  /** Whether an attempt has notes that are not written yet. */
  has(attempt: Attempt): boolean {
    return this.#pending.has(attempt) || this.#sending.has(attempt)
  }

  stop(): void {
    this.#timer?.()
    this.#timer = null
  }

  #of(attempt: Attempt): Pending {
    let pending = this.#pending.get(attempt)
    if (pending === undefined) {
      pending = { progress: null, lines: [] }
      this.#pending.set(attempt, pending)
      this.#writeSoon(paceMs)
    }
    return pending
  }

  #writeSoon(ms: number): void {
    this.#timer ??= this.#store.clock.after(ms, () => {
      this.#timer = null
      if (this.#flushing === null) void this.#write()
    })
  }

  #write(): Promise<void> {
    this.#flushing = this.#send().finally(() => {
      this.#flushing = null
    })
    return this.#flushing
  }

  async #send(): Promise<void> {
    const now = this.#ticks()
    const taken = [...this.#pending]
    this.#pending.clear()
    this.#sending = new Set(taken.map(([attempt]) => attempt))
    const notes = taken.flatMap(([attempt, pending]) => notesOf(attempt, pending, now))
    try {
      for (let from = 0; from < notes.length; from += batch)
        await answered(this.#store.clock, this.#store.note(notes.slice(from, from + batch)))
      this.health.worked()
    } catch (error) {
      const againMs = this.health.failed(error)
      // What the store refuses for good is not worth another try, nor its neighbours.
      if (mayPass(error) !== 'no')
        for (const [attempt, pending] of taken) this.#restore(attempt, pending)
      if (this.#pending.size > 0) this.#writeSoon(againMs)
    } finally {
      this.#sending = new Set()
    }
  }

  #restore(attempt: Attempt, pending: Pending): void {
    const newer = this.#pending.get(attempt)
    this.#pending.set(attempt, {
      progress: newer?.progress ?? pending.progress,
      lines: [...pending.lines, ...(newer?.lines ?? [])],
    })
  }
}

function notesOf(attempt: Attempt, pending: Pending, now: number): Note[] {
  const { id, token } = attempt.job
  const lines: Note[] = pending.lines.map(({ at, level, text }) => ({
    id,
    token,
    kind: 'log',
    agoMs: Math.round(now - at),
    level,
    text,
  }))
  return pending.progress === null
    ? lines
    : [...lines, { id, token, kind: 'progress', value: pending.progress }]
}
