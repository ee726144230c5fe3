/** Rows of the table: a figure over its runs, what it should be, and whether it is. */

/** One figure of one case, an element for each run. */
export type Runs = readonly number[]

export interface Aim {
  readonly text: string
  readonly holds: (value: number) => boolean
}

export interface Row {
  readonly what: string
  readonly unit: string
  readonly runs: Runs
  readonly aim: Aim | null
  readonly note: string
}

export function row(
  what: string,
  unit: string,
  runs: Runs,
  aim: Aim | null = null,
  note = '',
): Row {
  return { what, unit, runs, aim, note }
}

export function atLeast(bound: number): Aim {
  return { text: `≥ ${bound}`, holds: (value) => value >= bound }
}

export function atMost(bound: number): Aim {
  return { text: `≤ ${bound}`, holds: (value) => value <= bound }
}

/** The quotients of two figures, round by round. */
export function ratio(of: Runs, to: Runs): Runs {
  return of.map((value, round) => value / (to[round] ?? NaN))
}

/** The best of several figures, round by round. */
export function best(...figures: readonly Runs[]): Runs {
  const [first = []] = figures
  return first.map((_, round) => Math.max(...figures.map((runs) => runs[round] ?? -Infinity)))
}
