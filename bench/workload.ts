/** What a workload is: cases that are measured, each in a process of its own, and the rows that their figures make. */
import type { Durability } from 'errand/sqlite'
import type { Row, Runs } from './row.ts'

/** What a measurement is told. It leaves nothing behind but its figures. */
export interface Setting {
  readonly durability: Durability
  /** An empty folder of its own. */
  readonly folder: string
  /** Where files that several measurements start from are kept. */
  readonly fixtures: string
  /** Part of the full size, for quick runs. */
  readonly scale: number
}

/** Numbers by name. */
export type Figures = Readonly<Record<string, number>>

/** Measures once. Throws when the jobs did not all run exactly once. */
export type Measure = (setting: Setting) => Promise<Figures>

/** Answers the runs of a figure. */
export type Measured = (caseName: string, figure: string) => Runs

export interface Workload {
  readonly name: string
  readonly title: string
  readonly durabilities: readonly Durability[]
  /** Fewer than asked for, where one takes long. */
  readonly mostRuns?: number
  /** Options of Node for the measuring process. */
  readonly nodeOptions?: readonly string[]
  /** Why it cannot be measured now; null when it can. */
  readonly obstacle?: () => string | null
  /** Measured one after the other in each round, so that those compared with each other saw the same machine. */
  readonly cases: Readonly<Record<string, Measure>>
  readonly rows: (measured: Measured) => readonly Row[]
}

/** A count of jobs at this scale: a multiple of 1,000. */
export function scaled(count: number, { scale }: Setting): number {
  return Math.max(1_000, Math.round((count * scale) / 1_000) * 1_000)
}
