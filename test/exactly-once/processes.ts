/** The worker processes of a run. */
import { fork, type ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import { endsWithThis } from '../ends.ts'
import type { Order, Part, Report } from './part.ts'

/** Longer than anything that a process is waited for. */
const patienceMs = 120_000

/** A process, and what it has told so far. */
export class Member {
  readonly pid: number
  readonly #child: ChildProcess
  readonly #reports: Report[] = []
  readonly #ended: Promise<NodeJS.Signals | number | null>
  #told = (): void => {}

  constructor(part: Part) {
    this.#child = fork(join(import.meta.dirname, 'worker.ts'), [JSON.stringify(part)], {
      execArgv: ['--conditions=errand-source'],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    })
    this.pid = this.#child.pid ?? 0
    this.#child.on('message', (report: Report) => {
      this.#reports.push(report)
      this.#told()
    })
    this.#ended = new Promise((resolve, reject) => {
      this.#child.once('error', reject)
      this.#child.once('exit', (code, signal) => {
        resolve(signal ?? code)
        this.#told()
      })
    })
    // A director that fails leaves nothing behind.
    endsWithThis(this.#child)
  }

  get refusals(): number {
    return this.#reports.filter((report) => report.kind === 'over' && report.refused !== null)
      .length
  }

  /** Resolves with what ended it: a signal, or a code. */
  end(): Promise<NodeJS.Signals | number | null> {
    return within(`the end of process ${this.pid}`, this.#ended)
  }

  /** Resolves with the first report that fits. */
  async told<R extends Report>(what: string, fits: (report: Report) => report is R): Promise<R> {
    const found = async (): Promise<R> => {
      for (;;) {
        const report = this.#reports.find(fits)
        if (report !== undefined) return report
        if (this.#child.exitCode !== null || this.#child.signalCode !== null)
          throw new Error(`process ${this.pid} has ended: ${what}`)
        await new Promise<void>((resolve) => (this.#told = resolve))
      }
    }
    return within(what, found())
  }

  order(order: Order): void {
    this.#child.send(order)
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  /** Lets it finish what it runs, and resolves when it has ended. */
  async stop(): Promise<void> {
    this.order('end')
    const how = await this.end()
    if (how !== 0) throw new Error(`process ${this.pid} ended by ${how}`)
  }
}

/** Rejects when a promise is not settled in time. */
export async function within<T>(what: string, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited too long for ${what}`)), patienceMs)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

/** Resolves when a question is answered with yes; asks again and again. */
export async function comes(what: string, asked: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + patienceMs
  while (!(await asked())) {
    if (performance.now() > end) throw new Error(`waited too long for ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
