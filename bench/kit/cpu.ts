/** How much of the machine went to others while a measurement ran. */
import { readFileSync } from 'node:fs'
import { ticks } from './ticks.ts'

/** Kernel ticks in a second, the same on every Linux. */
const hertz = 100

/** Above this many cores a run counts as noisy. */
export const noisyCores = 0.25

interface Reading {
  readonly at: number
  /** Kernel ticks of all cores that were busy or stolen. */
  readonly busy: number
  /** Those of this process and its ended children. */
  readonly own: number
}

export class CpuWatch {
  readonly #start = read()

  /** Cores that others, or the hypervisor, took since the watch was made. NaN where it cannot be known. */
  otherCores(): number {
    const end = read()
    const seconds = (end.at - this.#start.at) / 1_000
    const others = end.busy - this.#start.busy - (end.own - this.#start.own)
    return Math.max(0, others / hertz / seconds)
  }
}

function read(): Reading {
  try {
    const [all = ''] = readFileSync('/proc/stat', 'utf8').split('\n')
    const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = all
      .trim()
      .split(/\s+/)
      .slice(1)
      .map(Number)
    const fields = readFileSync('/proc/self/stat', 'utf8')
      .replace(/^.*\) /, '')
      .split(' ')
      .map(Number)
    const own = fields.slice(11, 15).reduce((sum, part) => sum + part, 0)
    return { at: ticks(), busy: user + nice + system + irq + softirq + steal, own }
  } catch {
    return { at: ticks(), busy: NaN, own: NaN }
  }
}
