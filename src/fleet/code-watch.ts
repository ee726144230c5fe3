/**
 * Notices that code has changed: a file that a process has loaded, or another module in a folder from
 * which it has loaded one.
 */
import { watch, type FSWatcher } from 'node:fs'
import { basename, dirname, join, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { clearTimeout, setTimeout } from '../core/timers.ts'

/** An editor writes one file in several steps. */
const quietMs = 150
const mostFolders = 2_000
const code = /\.[cm]?[jt]sx?$/

export class CodeWatch {
  readonly #changed: (file: string) => void
  readonly #failed: (folder: string, error: unknown) => void
  readonly #folders = new Map<string, FSWatcher>()
  readonly #files = new Set<string>()
  #timer: NodeJS.Timeout | undefined
  #isClosed = false

  /**
   * `changed` is called with the last file, once nothing has changed for a moment; `failed` with a
   * folder that cannot be watched.
   */
  constructor(changed: (file: string) => void, failed: (folder: string, error: unknown) => void) {
    this.#changed = changed
    this.#failed = failed
  }

  /** Watches these files too. What packages hold is left out. */
  add(urls: readonly string[]): void {
    for (const url of urls) {
      const file = url.startsWith('file:') ? fileURLToPath(url) : null
      if (file === null || this.#isClosed || file.includes(`${sep}node_modules${sep}`)) continue
      this.#files.add(file)
      this.#watch(dirname(file))
    }
  }

  close(): void {
    this.#isClosed = true
    clearTimeout(this.#timer)
    for (const watcher of this.#folders.values()) watcher.close()
    this.#folders.clear()
  }

  #watch(folder: string): void {
    if (this.#folders.has(folder) || this.#folders.size >= mostFolders) return
    try {
      // Folders and not files: editors put a new file in the place of the old one.
      const watcher = watch(folder, (_event, name) => this.#saw(folder, name))
      this.#folders.set(folder, watcher)
      watcher.on('error', (error) => {
        watcher.close()
        this.#folders.delete(folder)
        this.#failed(folder, error)
      })
    } catch (error) {
      this.#failed(folder, error)
    }
  }

  #saw(folder: string, name: string | null): void {
    const file = name === null ? null : join(folder, name)
    if (file === null || !(this.#files.has(file) || code.test(basename(file)))) return
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#changed(file), quietMs)
  }
}
