/** What a group is: pieces that are measured one after the other in each run, and the rows that their figures make. */
import { atLeast, atMost, ratio, type Aim, type Runs } from '../row.ts'
import type { Measured } from '../workload.ts'
import type { Piece } from './pieces.ts'
import type { PeerName } from './side.ts'

export interface Group {
  readonly name: string
  readonly title: string
  /** Said above the table. */
  readonly note?: string
  /** Whether no peer takes part, so that none need be installed. */
  readonly isAlone?: true
  /** Fewer than asked for, where one takes long. */
  readonly mostRuns?: number
  readonly pieces: Readonly<Record<string, Piece>>
  /** What a run must reach to count. */
  readonly shares: readonly Share[]
  readonly rows: (measured: Measured) => readonly ComparedRow[]
}

/** A peer's rate as a part of what the raw engine reaches in the same run, and what it was in baseline.md. */
export interface Share {
  readonly piece: string
  readonly raw: string
  readonly before: number
}

/** A run counts if no peer has less than this of its share in baseline.md. */
export const leastOfShare = 0.85

/** A row of the table. */
export interface ComparedRow {
  readonly what: string
  readonly unit: string
  readonly best: Runs | null
  readonly byDefault: Runs | null
  readonly peers: Readonly<Partial<Record<PeerName, Runs>>>
  readonly verdicts: readonly Verdict[]
}

/** A quotient, and what it should be, if anything. */
export interface Verdict {
  readonly of: string
  readonly runs: Runs
  readonly aim: Aim | null
}

type Sides = Omit<ComparedRow, 'what' | 'unit' | 'verdicts'>

export function compared(
  what: string,
  unit: string,
  sides: Partial<Sides>,
  verdicts: readonly Verdict[] = [],
): ComparedRow {
  return { what, unit, best: null, byDefault: null, peers: {}, ...sides, verdicts }
}

/** `most` and `least` bound the quotient; without either it is for information. */
export function quotient(
  of: string,
  [above, below]: readonly [above: Runs, below: Runs],
  bound: { readonly least?: number; readonly most?: number } = {},
): Verdict {
  return { of, runs: ratio(above, below), aim: aimOf(bound) }
}

/** A figure of Errand's alone that is held against a bound. */
export function bounded(of: string, runs: Runs, most: number): Verdict {
  return { of, runs, aim: atMost(most) }
}

function aimOf({ least, most }: { readonly least?: number; readonly most?: number }): Aim | null {
  if (least !== undefined) return atLeast(least)
  if (most !== undefined) return atMost(most)
  return null
}
