/**
 * Progress and log lines of running jobs: gathered, and written together at a bounded pace. A batch with a note that the store can never
 * take is halved until that one stands alone and is dropped, so that it silences no other job.
 */
import { keptLogLines, type LogLevel } from '../core/job.ts'
import { errorText } from '../core/kept-error.ts'
import { cutText } from '../core/text.ts'
import type { EventHub } from '../observe/events.ts'
import type { Note, NoteAnswer } from '../store/worker-calls.ts'
import type { Store } from '../store/store.ts'
import type { Attempt } from './attempt.ts'
import { answered, Health, isOfTheBatch, mayPass } from '../loops/supervised.ts'
import type { Ticks } from '../loops/time.ts'

/** Where attempts leave their notes. */
export interface JobNotes {
  progress(attempt: Attempt, json: string): void
  log(attempt: Attempt, level: LogLevel, text: string): void
}

/** At most one write in this time. */
const paceMs = 50
const longestLineBytes = 10_000
/** Notes of one call: so many, and no more characters, unless one has more by itself. */
const batch = { notes: 1_000, chars: 4_000_000 } as const
/** After so many refused notes of one write it is not the notes that are at fault. */
const mostRefused = 10

interface Line {
  readonly at: number
  readonly level: LogLevel
  readonly text: string
}

interface Pending {
  progress: string | null
  readonly lines: Line[]
}

/** One note on its way, with what it was made of. */
interface Item {
  readonly attempt: Attempt
  readonly line: Line | null
  readonly note: Note
}

export class Notes implements JobNotes {
  readonly health: Health
  readonly #store: Store
  readonly #events: EventHub
  readonly #ticks: Ticks
  readonly #pending = new Map<Attempt, Pending>()
  readonly #taken = new WeakMap<Attempt, number>()
  #sending: ReadonlySet<Attempt> = new Set()
  #timer: (() => void) | null = null
  #flushing: Promise<void> | null = null

  constructor(store: Store, events: EventHub, ticks: Ticks) {
    this.#store = store
    this.#events = events
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
    const line = { at: this.#ticks(), level, text: cutText(text, longestLineBytes) }
    this.#of(attempt).lines.push(line)
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
    const left = new Set(taken.flatMap(([attempt, pending]) => itemsOf(attempt, pending, now)))
    try {
      await this.#writeAll(left)
      this.health.worked()
    } catch (error) {
      const againMs = this.health.failed(error)
      // What the store refuses for good is not worth another try.
      if (mayPass(error) !== 'no') this.#restore(left)
      if (this.#pending.size > 0) this.#writeSoon(againMs)
    } finally {
      this.#sending = new Set()
    }
  }

  /** Writes notes in batches, and takes out of the set what is written or refused. */
  async #writeAll(left: Set<Item>): Promise<void> {
    let refused = 0
    const write = async (items: readonly Item[]): Promise<void> => {
      try {
        await this.#call(items.map(({ note }) => note))
      } catch (error) {
        if (!(await isOfTheBatch(error, () => this.#call([])))) throw error
        const [only] = items
        if (items.length > 1) {
          const middle = Math.ceil(items.length / 2)
          await write(items.slice(0, middle))
          return write(items.slice(middle))
        }
        if (++refused > mostRefused) throw error
        if (only !== undefined) this.#warn(only, error)
      }
      for (const item of items) left.delete(item)
    }
    for (const items of batchesOf([...left])) await write(items)
  }

  #call(notes: readonly Note[]): Promise<readonly NoteAnswer[]> {
    return answered(this.#store.clock, this.#store.note(notes))
  }

  #warn({ attempt, note }: Item, error: unknown): void {
    const { id, task } = attempt.job
    const what = note.kind === 'log' ? 'A log line' : 'A progress'
    this.#events.emit('warning', {
      code: 'note-refused',
      message: `${what} of ${task} ${id} was refused by the store and is dropped: ${errorText(error)}`,
    })
  }

  /** Puts back what could not be written, before what has come meanwhile. */
  #restore(left: ReadonlySet<Item>): void {
    for (const [attempt, items] of Map.groupBy(left, ({ attempt: of }) => of)) {
      const newer = this.#pending.get(attempt)
      const progress = items.find(({ note }) => note.kind === 'progress')?.note
      const lines = items.flatMap(({ line }) => (line === null ? [] : [line]))
      this.#pending.set(attempt, {
        progress: newer?.progress ?? (progress?.kind === 'progress' ? progress.value : null),
        lines: [...lines, ...(newer?.lines ?? [])],
      })
    }
  }
}

function itemsOf(attempt: Attempt, pending: Pending, now: number): Item[] {
  const { id, token } = attempt.job
  const items: Item[] = pending.lines.map((line) => {
    const { at, level, text } = line
    const note: Note = { id, token, kind: 'log', agoMs: Math.round(now - at), level, text }
    return { attempt, line, note }
  })
  if (pending.progress === null) return items
  const note: Note = { id, token, kind: 'progress', value: pending.progress }
  return [...items, { attempt, line: null, note }]
}

function* batchesOf(items: readonly Item[]): Generator<readonly Item[]> {
  let taken: Item[] = []
  let chars = 0
  for (const item of items) {
    const { note } = item
    const own =
      note.kind === 'log' ? note.text.length : note.kind === 'progress' ? note.value.length : 0
    if (taken.length > 0 && (taken.length === batch.notes || chars + own > batch.chars)) {
      yield taken
      taken = []
      chars = 0
    }
    taken.push(item)
    chars += own
  }
  if (taken.length > 0) yield taken
}
