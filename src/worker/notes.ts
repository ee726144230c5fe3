/**
 * Progress and log lines of running jobs: gathered, and written together at a bounded pace. A batch
 * with a note that the store can never take is halved until that one stands alone and is dropped,
 * so that it silences no other job.
 */
import { keptLogLines, type LogLevel } from '../core/job.ts'
import { cutText } from '../core/text.ts'
import type { EventHub } from '../observe/events.ts'
import type { LeaseRef, Note, NoteAnswer } from '../store/worker-calls.ts'
import type { Store } from '../store/store.ts'
import { answered } from '../loops/call-deadline.ts'
import { Health, isOfTheBatch, mayPass } from '../loops/supervised.ts'
import type { Ticks } from '../loops/time.ts'

/** At most one write in this time. */
const paceMs = 50
const longestLineBytes = 10_000
/** Bounds of one call; a note that has more characters goes alone. */
const batch = { notes: 1_000, chars: 4_000_000 } as const
/** After this many refused notes in one write it is not the notes that are at fault. */
const mostRefused = 10

interface Line {
  readonly at: number
  readonly level: LogLevel
  readonly text: string
}

/** The lease that notes are written under, with the task for warnings. */
export interface NotedLease extends LeaseRef {
  readonly task: string
}

/** One note on its way, with what it was made of. */
interface Item {
  readonly of: JobNotes
  readonly line: Line | null
  readonly note: Note
}

/** The notes of one attempt, until they are written. */
export class JobNotes {
  readonly lease: NotedLease
  readonly #notes: Notes
  readonly #ticks: Ticks
  #progress: string | null = null
  #lines: Line[] = []
  /** Lines that were taken in, written or not. */
  #taken = 0

  constructor(lease: NotedLease, notes: Notes, ticks: Ticks) {
    this.lease = lease
    this.#notes = notes
    this.#ticks = ticks
  }

  get isUnwritten(): boolean {
    return this.#notes.has(this)
  }

  progress(json: string): void {
    this.#progress = json
    this.#notes.add(this)
  }

  log(level: LogLevel, text: string): void {
    if (this.#taken >= keptLogLines) return
    this.#taken++
    this.#lines.push({ at: this.#ticks(), level, text: cutText(text, longestLineBytes) })
    this.#notes.add(this)
  }

  /**
   * Writes what there is, so that the settlement may follow; drops it when that fails, since a job
   * is worth more.
   */
  flush(): Promise<void> {
    return this.#notes.flush(this)
  }

  /** Takes out all that is to be written. */
  take(now: number): Item[] {
    const { id, token } = this.lease
    const items: Item[] = this.#lines.map((line) => {
      const { at, level, text } = line
      const note: Note = { id, token, kind: 'log', agoMs: Math.round(now - at), level, text }
      return { of: this, line, note }
    })
    if (this.#progress !== null) {
      const note: Note = { id, token, kind: 'progress', value: this.#progress }
      items.push({ of: this, line: null, note })
    }
    this.#lines = []
    this.#progress = null
    return items
  }

  /** Puts back what could not be written, before what has come meanwhile. */
  restore(items: readonly Item[]): void {
    const lines = items.flatMap(({ line }) => (line === null ? [] : [line]))
    this.#lines = [...lines, ...this.#lines]
    for (const { note } of items) if (note.kind === 'progress') this.#progress ??= note.value
  }

  drop(): void {
    this.#lines = []
    this.#progress = null
  }
}

/** Writes the notes of all attempts. */
export class Notes {
  readonly health: Health
  readonly #store: Store
  readonly #events: EventHub
  readonly #ticks: Ticks
  readonly #pending = new Set<JobNotes>()
  #sending: ReadonlySet<JobNotes> = new Set()
  #timer: (() => void) | null = null
  #flushing: Promise<void> | null = null

  constructor(store: Store, events: EventHub, ticks: Ticks) {
    this.#store = store
    this.#events = events
    this.#ticks = ticks
    this.health = new Health('notes', events)
  }

  /** The notes of one attempt. */
  of(lease: NotedLease): JobNotes {
    return new JobNotes(lease, this, this.#ticks)
  }

  /** There is something to write. */
  add(notes: JobNotes): void {
    if (this.#pending.has(notes)) return
    this.#pending.add(notes)
    this.#writeSoon(paceMs)
  }

  async flush(notes: JobNotes): Promise<void> {
    while (this.#pending.has(notes)) {
      this.#timer?.()
      this.#timer = null
      await (this.#flushing ?? this.#write())
      if (this.health.failures === 0) continue
      this.#pending.delete(notes)
      notes.drop()
    }
    await this.#flushing
  }

  /** Whether some of these are not written yet. */
  has(notes: JobNotes): boolean {
    return this.#pending.has(notes) || this.#sending.has(notes)
  }

  stop(): void {
    this.#timer?.()
    this.#timer = null
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
    this.#sending = new Set(taken)
    const left = new Set(taken.flatMap((notes) => notes.take(now)))
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

  #warn({ of, note }: Item, error: unknown): void {
    const { id, task } = of.lease
    const what = note.kind === 'log' ? 'log' : 'progress'
    this.#events.warn('note-refused', { id, task, note: what, error })
  }

  #restore(left: ReadonlySet<Item>): void {
    for (const [notes, items] of Map.groupBy(left, ({ of }) => of)) {
      notes.restore(items)
      this.#pending.add(notes)
    }
  }
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
