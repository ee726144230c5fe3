/** The results of a run as text. */
import type { Result } from './trial.ts'

export function table(results: readonly Result[]): string {
  const rows = results.map(({ what, cuts, jobs, rows, refusals, wrong }) => [
    what,
    ...[cuts, jobs, rows, refusals, wrong.length].map((count) => count.toLocaleString('en-US')),
  ])
  const all = [['processes', 'cut off', 'jobs', 'rows', 'refusals', 'wrong'], ...rows]
  const widths = all[0]?.map((_, at) => Math.max(...all.map((row) => (row[at] ?? '').length))) ?? []
  return all
    .map((row) =>
      row
        .map((cell, at) =>
          at === 0 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0),
        )
        .join('  '),
    )
    .join('\n')
}
