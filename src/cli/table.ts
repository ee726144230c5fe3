/** Tables for people: aligned, and fitted to the width of the terminal. */
import { inLine } from '../core/shown.ts'
import { outWidth, paint, widthOf } from './terminal.ts'

export interface Column {
  readonly title: string
  readonly align?: 'left' | 'right'
  /** Whether its texts may be cut when the table is too wide. */
  readonly shrinks?: boolean
  /** How far they may be cut. Default 8. */
  readonly least?: number
  /** Whether the column is left out when cutting is not enough; the last such column goes first. */
  readonly optional?: boolean
}

interface Measured {
  readonly column: Column
  /** Its place in the rows. */
  readonly index: number
  readonly width: number
}

const gap = '  '
const usualLeast = 8

/** Lays out rows under their titles. Too wide a table has its widest shrinking columns cut, ends marked with `…`. */
export function table(
  columns: readonly Column[],
  given: readonly (readonly string[])[],
  width: number = outWidth(),
): string {
  const rows = given.map((cells) => cells.map(inLine))
  const measured = columns.map((column, index) => ({
    column,
    index,
    width: Math.max(column.title.length, ...rows.map((row) => widthOf(row[index] ?? ''))),
  }))
  const shown = shrink(drop(measured, width), width)
  const titles = columns.map(({ title }) => paint('dim', title.toUpperCase()))
  return [titles, ...rows].map((cells) => line(shown, cells)).join('\n')
}

/** A value for `facts`: on one line, or over several lines of its own. */
type Fact = string | { readonly lines: string } | null

/** Names and values below each other; empty values are left out. */
export function facts(pairs: readonly (readonly [name: string, value: Fact])[]): string {
  const shown = pairs.filter(([, value]) => value !== null && value !== '')
  const width = Math.max(0, ...shown.map(([name]) => name.length))
  const textOf = (value: Fact): string =>
    value === null || typeof value === 'string' ? inLine(value ?? '') : value.lines
  return shown
    .map(([name, value]) => `${paint('dim', name.padEnd(width))}${gap}${textOf(value)}`)
    .join('\n')
}

function line(shown: readonly Measured[], cells: readonly string[]): string {
  return shown
    .map(({ column, index, width }) => pad(cut(cells[index] ?? '', width), width, column))
    .join(gap)
    .trimEnd()
}

/** Leaves out optional columns until the rest fits when cut as far as may be. */
function drop(columns: readonly Measured[], width: number): readonly Measured[] {
  if (total(columns.map((one) => ({ ...one, width: leastOf(one) }))) <= width) return columns
  const last = columns.findLastIndex(({ column }) => column.optional)
  return last === -1 ? columns : drop(columns.toSpliced(last, 1), width)
}

function shrink(columns: readonly Measured[], width: number): readonly Measured[] {
  const shrunk = columns.map((one) => ({ ...one }))
  for (let over = total(shrunk) - width; over > 0; over -= 1) {
    const [widest] = shrunk
      .filter((one) => one.width > leastOf(one))
      .toSorted((a, b) => b.width - a.width)
    if (widest === undefined) break
    widest.width -= 1
  }
  return shrunk
}

function leastOf({ column, width }: Measured): number {
  return column.shrinks ? Math.min(width, column.least ?? usualLeast) : width
}

function total(columns: readonly Measured[]): number {
  return columns.reduce((sum, { width }) => sum + width, gap.length * (columns.length - 1))
}

/** Cuts a text without colours; coloured ones stand in columns that do not shrink. */
function cut(text: string, width: number): string {
  return widthOf(text) <= width ? text : `${text.slice(0, width - 1)}…`
}

function pad(text: string, width: number, column: Column): string {
  const space = ' '.repeat(Math.max(0, width - widthOf(text)))
  return column.align === 'right' ? space + text : text + space
}
