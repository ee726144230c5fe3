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
  readonly #servers: readonly number[]
  readonly #start: Reading

  /** `servers` are pids of running processes that are part of the measurement, each with its children. */
  constructor(servers: readonly number[] = []) {
    this.#servers = servers
    this.#start = read(servers)
  }

  /** Cores that others, or the hypervisor, took since the watch was made. NaN where it cannot be known. */
  otherCores(): number {
    const end = read(this.#servers)
    const seconds = (end.at - this.#start.at) / 1_000
    const others = end.busy - this.#start.busy - (end.own - this.#start.own)
    return Math.max(0, others / hertz / seconds)
  }
}

function read(servers: readonly number[]): Reading {
  try {
    const [all = ''] = readFileSync('/proc/stat', 'utf8').split('\n')
    const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = all
      .trim()
      .split(/\s+/)
      .slice(1)
      .map(Number)
    const own = servers.reduce((sum, pid) => sum + ticksOfTree(pid), ticksOf('self'))
    return { at: ticks(), busy: user + nice + system + irq + softirq + steal, own }
  } catch {
    return { at: ticks(), busy: NaN, own: NaN }
  }
}

/** Microseconds of CPU that a server has used, with all the processes that it started. */
export function serverCpuMicroseconds(pid: number): number {
  return (ticksOfTree(pid) / hertz) * 1_000_000
}

function ticksOfTree(pid: number): number {
  return [String(pid), ...childrenOf(pid)].reduce((sum, one) => sum + ticksOf(one), 0)
}

/** What a process has used, and those of its children that have ended; 0 for one that is gone. */
function ticksOf(pid: string): number {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /, '')
      .split(' ')
      .map(Number)
    return fields.slice(11, 15).reduce((sum, part) => sum + part, 0)
  } catch {
    return 0
  }
}

function childrenOf(pid: number): readonly string[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean)
}
