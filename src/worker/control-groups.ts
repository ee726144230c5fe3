/**
 * Control groups of Linux, in versions 1 and 2: where their bounds stand, and what is used of them.
 * A container sees its own group as the root, whatever path it is told.
 */

type Read = (path: string) => string | null

/** A group that may be bounded; `look` finds null where it is not. */
interface CpuGroup {
  readonly folder: string
  readonly look: (read: Read) => { readonly usedMs: number; readonly processors: number } | null
}

interface MemoryGroup {
  readonly look: (read: Read) => { readonly used: number; readonly most: number } | null
}

/** The groups of this process, from its own up to the root. */
export interface ControlGroups {
  readonly cpu: readonly CpuGroup[]
  readonly memory: readonly MemoryGroup[]
}

const mountedAt = '/sys/fs/cgroup'

/** Reads `/proc/self/cgroup`. */
export function controlGroups(text: string): ControlGroups {
  const cpu: CpuGroup[] = []
  const memory: MemoryGroup[] = []
  for (const [, controllers = '', path = ''] of text.matchAll(/^\d+:([^:]*):(\/.*)$/gm)) {
    const named = controllers.split(',')
    for (const within of pathsUp(path)) {
      if (controllers === '') {
        cpu.push(cpuOf2(`${mountedAt}${within}`))
        memory.push(memoryOf2(`${mountedAt}${within}`))
      }
      if (named.includes('cpu')) cpu.push(cpuOf1(within))
      if (named.includes('memory')) memory.push(memoryOf1(`${mountedAt}/memory${within}`))
    }
  }
  return { cpu, memory }
}

/** `/a/b` is `/a/b`, `/a` and the root, as an empty path. */
function pathsUp(path: string): readonly string[] {
  const parts = path.split('/').filter((part) => part !== '' && part !== '..')
  const depths = [...parts.keys(), parts.length].toReversed()
  return depths.map((depth) =>
    parts
      .slice(0, depth)
      .map((part) => `/${part}`)
      .join(''),
  )
}

function cpuOf2(folder: string): CpuGroup {
  return {
    folder,
    look(read) {
      const [quota, period] = (read(`${folder}/cpu.max`) ?? '').split(' ').map(Number)
      const usedMs = field(read(`${folder}/cpu.stat`), 'usage_usec') / 1_000
      return bounded(quota, period, usedMs)
    },
  }
}

function cpuOf1(within: string): CpuGroup {
  const folder = `${mountedAt}/cpu${within}`
  return {
    folder,
    look(read) {
      const quota = number(read(`${folder}/cpu.cfs_quota_us`))
      const period = number(read(`${folder}/cpu.cfs_period_us`))
      const usedMs = number(read(`${mountedAt}/cpuacct${within}/cpuacct.usage`)) / 1e6
      return bounded(quota, period, usedMs)
    },
  }
}

function bounded(
  quota: number | undefined,
  period: number | undefined,
  usedMs: number,
): ReturnType<CpuGroup['look']> {
  // No bound is `max` in version 2, and -1 in version 1.
  const processors = (quota ?? Number.NaN) / (period ?? Number.NaN)
  return processors > 0 && Number.isFinite(usedMs) ? { usedMs, processors } : null
}

/** Files that the kernel may drop at once count as free, as they do for the machine. */
function memoryOf2(folder: string): MemoryGroup {
  return {
    look: (read) =>
      filled(
        number(read(`${folder}/memory.current`)),
        field(read(`${folder}/memory.stat`), 'inactive_file'),
        number(read(`${folder}/memory.max`)),
      ),
  }
}

function memoryOf1(folder: string): MemoryGroup {
  return {
    look: (read) =>
      filled(
        number(read(`${folder}/memory.usage_in_bytes`)),
        field(read(`${folder}/memory.stat`), 'total_inactive_file'),
        number(read(`${folder}/memory.limit_in_bytes`)),
      ),
  }
}

function filled(used: number, files: number, most: number): ReturnType<MemoryGroup['look']> {
  if (!Number.isFinite(used) || !Number.isFinite(most)) return null
  return { used: used - (Number.isFinite(files) ? files : 0), most }
}

function number(text: string | null): number {
  return text === null || text.trim() === '' ? Number.NaN : Number(text)
}

/** One line of a file with a name and a number on each. */
function field(text: string | null, name: string): number {
  return Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text ?? '')?.[1] ?? Number.NaN)
}
