/** What must have happened in a run for it to prove anything. */
import type { Figures } from './figures.ts'

/** The figures that have a least, each with the least of one minute. */
export const leastPerMinute = {
  jobs: 10_000,
  kills: 15,
  restarts: 2,
  failOvers: 0.5,
  blackHoles: 2,
  silences: 1,
  terminated: 4,
  upheavals: 1,
  rescues: 20,
  refusals: 2,
} as const

export type Least = Readonly<Record<keyof typeof leastPerMinute, number>>

/** The order in which they are told. */
export const leastNames = Object.keys(leastPerMinute) as readonly (keyof Least)[]

/** The figures that were not reached, in words. */
export function shortfalls(figures: Figures, least: Least): readonly string[] {
  return leastNames
    .filter((name) => figures[name] < least[name])
    .map(
      (name) =>
        `only ${figures[name]} ${name}; a run with fewer than ${least[name]} proves nothing`,
    )
}
