/** Runs a group: its pieces in turn, again and again, until enough runs count. */
import { CpuWatch } from '../kit/cpu.ts'
import { median } from '../kit/numbers.ts'
import { ticks } from '../kit/ticks.ts'
import type { Figures, Measured } from '../workload.ts'
import { leastOfShare, type Group, type Share } from './group.ts'

/** How often runs that do not count are repeated, over all runs of a group. */
const mostRepeats = 2

export interface RoundsOptions {
  readonly runs: number
  /** Small sizes say nothing about shares: then every run counts. */
  readonly isQuick: boolean
  /** In `ticks`; later than this no run is repeated. */
  readonly repeatUntil: number
  /** Pids of the servers. */
  readonly servers: readonly number[]
  readonly onPiece: (name: string, figures: Figures) => void
}

export interface Outcome {
  readonly group: Group
  /** The runs that count, or all where none does. */
  readonly runs: readonly Run[]
  readonly counted: number
  readonly all: readonly Run[]
  /** Why there are no figures, if so. */
  readonly problem: string | null
}

interface Run {
  readonly figures: ReadonlyMap<string, Figures>
  /** The peers that had less than they should. */
  readonly short: readonly string[]
  /** Cores that other programs and the hypervisor took. */
  readonly otherCores: number
}

export async function runGroup(group: Group, options: RoundsOptions): Promise<Outcome> {
  const wanted = Math.min(options.runs, group.mostRuns ?? Infinity)
  const all: Run[] = []
  const counting = (): readonly Run[] => all.filter(({ short }) => short.length === 0)
  const most = (): number => wanted + (ticks() < options.repeatUntil ? mostRepeats : 0)
  try {
    while (counting().length < wanted && all.length < most())
      all.push(await runOnce(group, all.length, options))
  } catch (error) {
    return { group, runs: [], counted: 0, all, problem: String(error) }
  }
  const counted = counting()
  return {
    group,
    runs: counted.length > 0 ? counted : all,
    counted: counted.length,
    all,
    problem: null,
  }
}

/** Each run begins with another piece, so that none always comes after the same one. */
async function runOnce(group: Group, round: number, options: RoundsOptions): Promise<Run> {
  const names = Object.keys(group.pieces)
  const first = round % names.length
  const cpu = new CpuWatch(options.servers)
  const figures = new Map<string, Figures>()
  for (const name of [...names.slice(first), ...names.slice(0, first)]) {
    const measured = (await group.pieces[name]?.()) ?? {}
    options.onPiece(`${group.name}/${name}`, measured)
    figures.set(name, measured)
  }
  const short = group.shares.flatMap((share) => {
    const part = shareOf(share, figures) / share.before
    return part >= leastOfShare ? [] : [`${share.piece} ${part.toFixed(2)}`]
  })
  return { figures, short: options.isQuick ? [] : short, otherCores: cpu.otherCores() }
}

function shareOf({ piece, raw }: Share, figures: ReadonlyMap<string, Figures>): number {
  return (figures.get(piece)?.['rate'] ?? NaN) / (figures.get(raw)?.['rate'] ?? NaN)
}

/** Reads figures of an outcome's runs. */
export function measuredIn({ runs }: Outcome): Measured {
  return (piece, figure) => runs.map(({ figures }) => figures.get(piece)?.[figure] ?? NaN)
}

/** The median share of a peer in what the raw engine reaches, over all runs, counting or not. */
export function medianShare(share: Share, { all }: Outcome): number {
  return median(all.map(({ figures }) => shareOf(share, figures)))
}
