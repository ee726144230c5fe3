/** A manager in a process of its own, as `errand serve` starts it. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

const cli = join(import.meta.dirname, '../../dist/cli/main.js')
const pageBytes = 4_096

export class ManagerProcess {
  readonly url: string
  readonly #child: ChildProcess

  private constructor(url: string, child: ChildProcess) {
    this.url = url
    this.#child = child
  }

  static async start(store: string): Promise<ManagerProcess> {
    const child = spawn(process.execPath, [cli, 'serve', '--store', store, '--port', '0'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    for await (const line of createInterface({ input: child.stdout })) {
      const found = /http:\S+/.exec(line)
      if (found === null) continue
      child.stdout.resume()
      return new ManagerProcess(found[0], child)
    }
    throw new Error('the manager does not start')
  }

  /** What it holds in memory, in MiB. */
  get residentMiB(): number {
    const pages = readFileSync(`/proc/${this.#child.pid}/statm`, 'utf8').split(' ')[1]
    return (Number(pages) * pageBytes) / 1_048_576
  }

  /** How many files and connections it has open. */
  get openFiles(): number {
    return readdirSync(`/proc/${this.#child.pid}/fd`).length
  }

  async stop(): Promise<void> {
    const ended = once(this.#child, 'exit')
    this.#child.kill('SIGTERM')
    await ended
  }
}
