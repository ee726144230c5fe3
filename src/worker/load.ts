/**
 * The load of what this process runs on: of its control groups where those are bounded, else of the
 * machine. Linux lets a group be bounded at each of its levels, so the fullest one counts.
 */
import { readFileSync } from 'node:fs'
import { availableParallelism, cpus, freemem, totalmem } from 'node:os'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { performance } from '../core/timers.ts'
import { controlGroups, type ControlGroups } from './control-groups.ts'

/** Shares of 1, and milliseconds for `lag`. */
export interface Load {
  readonly cpu: number
  readonly memory: number
  readonly lag: number
}

/** How often the delay of the event loop is sampled; what is shorter is no delay. */
const samplesMs = 10

/** Reads a file; null for one that is not there, or must not be read. */
type ReadText = (path: string) => string | null

/** Processor time used, in milliseconds: by each bounded group, and by the machine. */
interface CpuUse {
  readonly at: number
  readonly groups: ReadonlyMap<string, { readonly usedMs: number; readonly processors: number }>
  readonly busyMs: number
  readonly totalMs: number
}

export class LoadMeter {
  readonly #delay = monitorEventLoopDelay({ resolution: samplesMs })
  readonly #read: ReadText
  readonly #groups: ControlGroups
  #cpu: CpuUse

  /** `read` finds the files of the kernel. */
  constructor(read: ReadText = readText) {
    this.#read = read
    this.#groups = controlGroups(read('/proc/self/cgroup') ?? '')
    this.#cpu = this.#cpuUse()
    this.#delay.enable()
  }

  /** The load since the last call. */
  measure(): Load {
    const before = this.#cpu
    this.#cpu = this.#cpuUse()
    const lag = Math.max(0, this.#delay.max / 1e6 - samplesMs)
    this.#delay.reset()
    return { cpu: cpuShare(before, this.#cpu), memory: this.#memoryShare(), lag }
  }

  stop(): void {
    this.#delay.disable()
  }

  #cpuUse(): CpuUse {
    const groups = new Map<string, { readonly usedMs: number; readonly processors: number }>()
    for (const group of this.#groups.cpu) {
      const found = group.look(this.#read)
      if (found !== null) groups.set(group.folder, found)
    }
    let busyMs = 0
    let totalMs = 0
    for (const { times } of cpus()) {
      const all = times.user + times.nice + times.sys + times.irq + times.idle
      totalMs += all
      busyMs += all - times.idle
    }
    return { at: performance.now(), groups, busyMs, totalMs }
  }

  #memoryShare(): number {
    let share = ratio(totalmem() - freemem(), totalmem())
    for (const { look } of this.#groups.memory) {
      const found = look(this.#read)
      if (found !== null) share = Math.max(share, ratio(found.used, found.most))
    }
    return share
  }
}

function cpuShare(before: CpuUse, after: CpuUse): number {
  const tookMs = after.at - before.at
  let share = ratio(after.busyMs - before.busyMs, after.totalMs - before.totalMs)
  for (const [folder, { usedMs, processors }] of after.groups) {
    const earlier = before.groups.get(folder)
    const mostMs = tookMs * Math.min(processors, availableParallelism())
    if (earlier !== undefined) share = Math.max(share, ratio(usedMs - earlier.usedMs, mostMs))
  }
  return share
}

function ratio(part: number, whole: number): number {
  return whole > 0 ? Math.min(1, Math.max(0, part / whole)) : 0
}

/** Not on every system, and not in every group: what cannot be read bounds nothing. */
function readText(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return null
  }
}
