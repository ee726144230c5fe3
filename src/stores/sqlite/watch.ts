/**
 * Notices what other connections commit. The write-ahead log is watched: on an event the file is looked at, and again a little
 * later, because the log is written before the commit can be seen. Under that lies a slow timer. Runs only while someone watches.
 */
import { watch as watchFile, type FSWatcher } from 'node:fs'
import type { Connection } from './connection.ts'
import type { Database } from './database.ts'
import type { HintBoard } from '../hint-board.ts'
import {
  clearInterval,
  clearTimeout,
  setImmediate,
  setInterval,
  setTimeout,
} from '../../core/timers.ts'

const secondLookMs = 2
const slowLookMs = 500

/** Changes with each commit of another connection. */
const DATA_VERSION = `PRAGMA data_version`
const SIGNALS = `SELECT name, value FROM errand_meta WHERE name IN ('cancels', 'pauses', 'locks', 'records')`

interface Seen {
  readonly connection: Connection
  readonly version: number
  readonly cancels: number
  readonly pauses: number
  readonly locks: number
  readonly records: number
}

export class FileWatch {
  readonly #database: Database
  readonly #hints: HintBoard
  #seen: Seen | null = null
  #files: FSWatcher | null = null
  #slow: NodeJS.Timeout | null = null
  #second: NodeJS.Timeout | null = null
  #hasNews = false

  constructor(database: Database, hints: HintBoard) {
    this.#database = database
    this.#hints = hints
  }

  start(): void {
    if (this.#slow !== null) return
    this.#slow = setInterval(() => this.#lookSlowly(), slowLookMs)
    this.#slow.unref()
    // Not at once: a watcher must not make the call in which it starts wait for the file.
    setImmediate(() => this.#lookSlowly())
  }

  stop(): void {
    if (this.#slow !== null) clearInterval(this.#slow)
    if (this.#second !== null) clearTimeout(this.#second)
    this.#files?.close()
    this.#slow = this.#second = this.#files = this.#seen = null
  }

  #lookSlowly(): void {
    if (this.#slow === null) return
    this.#look()
    this.#files ??= this.#watchLog()
  }

  #watchLog(): FSWatcher | null {
    try {
      const files = watchFile(this.#database.log, { persistent: false }, (event) => {
        if (event === 'rename') this.#unwatchLog()
        this.#noticed()
      })
      files.on('error', () => this.#unwatchLog())
      return files
    } catch {
      // There is no log yet, or no watch to be had: the slow timer looks, and tries again.
      return null
    }
  }

  #unwatchLog(): void {
    this.#files?.close()
    this.#files = null
  }

  #noticed(): void {
    if (this.#second !== null) {
      this.#hasNews = true
      return
    }
    this.#look()
    this.#second = setTimeout(() => {
      this.#second = null
      if (this.#hasNews) {
        this.#hasNews = false
        this.#noticed()
      } else this.#look()
    }, secondLookMs)
    this.#second.unref()
  }

  #look(): void {
    const before = this.#seen
    const seen = this.#database.glance((connection) => {
      const version = connection.row(DATA_VERSION)?.[0] as number
      if (version === before?.version && connection === before.connection) return before
      const signals = new Map(connection.rows(SIGNALS).map(([name, value]) => [name, value]))
      return {
        connection,
        version,
        cancels: signals.get('cancels') as number,
        pauses: signals.get('pauses') as number,
        locks: signals.get('locks') as number,
        records: signals.get('records') as number,
      }
    })
    if (seen === null || seen === before) return
    this.#seen = seen
    if (seen.connection !== before?.connection) this.#unwatchLog()
    this.#hints.give('work')
    this.#hints.give('finished')
    // What happened before the first look may be news to its watchers.
    if (seen.cancels !== before?.cancels) this.#hints.give('cancel')
    if (seen.pauses !== before?.pauses) this.#hints.give('paused')
    if (seen.locks !== before?.locks) this.#hints.give('lock')
    if (seen.records !== before?.records) this.#hints.give('record')
  }
}
