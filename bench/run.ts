/** Runs a workload: rounds of its cases, each in a child process. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Durability } from 'errand/sqlite'
import { CpuWatch } from './kit/cpu.ts'
import { median } from './kit/numbers.ts'
import type { Row } from './row.ts'
import type { Figures, Setting, Workload } from './workload.ts'

/** A measurement that takes longer hangs. */
const longestMs = 180_000

export interface RunOptions {
  readonly runs: number
  readonly scale: number
  readonly fixtures: string
  readonly onCase: (name: string, figures: Figures) => void
}

/** What a workload came to. */
export interface Outcome {
  readonly workload: Workload
  readonly durability: Durability
  readonly rows: readonly Row[]
  readonly runs: number
  /** Cores that other programs and the hypervisor took, the median over the measurements. */
  readonly otherCores: number
  /** Why there are no rows, if so. */
  readonly problem: string | null
}

export async function run(
  workload: Workload,
  durability: Durability,
  options: RunOptions,
): Promise<Outcome> {
  const obstacle = workload.obstacle?.() ?? null
  const none = { workload, durability, rows: [], runs: 0, otherCores: 0 }
  if (obstacle !== null) return { ...none, problem: obstacle }
  const runs = Math.min(options.runs, workload.mostRuns ?? Infinity)
  const figures = new Map<string, Figures[]>()
  const otherCores: number[] = []
  try {
    for (let round = 0; round < runs; round++) {
      for (const name of Object.keys(workload.cases)) {
        const cpu = new CpuWatch()
        const measured = await measure(workload, name, durability, options)
        otherCores.push(cpu.otherCores())
        figures.set(name, [...(figures.get(name) ?? []), measured])
        options.onCase(`${workload.name}/${name}/${durability}`, measured)
      }
    }
  } catch (error) {
    return { ...none, problem: String(error) }
  }
  const rows = workload.rows((name, figure) =>
    (figures.get(name) ?? []).map((one) => one[figure] ?? NaN),
  )
  return { workload, durability, rows, runs, otherCores: median(otherCores), problem: null }
}

async function measure(
  { name, nodeOptions = [] }: Workload,
  caseName: string,
  durability: Durability,
  { scale, fixtures }: RunOptions,
): Promise<Figures> {
  const folder = mkdtempSync(join(fixtures, 'run-'))
  const setting: Setting = { durability, folder, fixtures, scale }
  try {
    const child = fork(
      new URL('child.ts', import.meta.url),
      [name, caseName, JSON.stringify(setting)],
      {
        execArgv: [...process.execArgv, ...nodeOptions],
      },
    )
    const overdue = setTimeout(() => child.kill('SIGKILL'), longestMs)
    let figures: Figures | null = null
    child.once('message', (message: Figures) => (figures = message))
    const [code] = (await once(child, 'exit')) as [number | null]
    clearTimeout(overdue)
    if (code !== 0 || figures === null)
      throw new Error(`${name}/${caseName} ended with ${String(code)}`)
    return figures
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
