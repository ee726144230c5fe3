/** The comparison as Markdown. */
import { noisyCores } from '../kit/cpu.ts'
import { median, shown, spread } from '../kit/numbers.ts'
import { leastOfShare, type ComparedRow, type Verdict } from './group.ts'
import { measuredIn, medianShare, type Outcome } from './rounds.ts'
import type { PeerName } from './side.ts'

/** One section for each group: its table, and how the peers did against the raw engine. */
export function section(outcome: Outcome, peers: readonly PeerName[]): string {
  const { group, problem } = outcome
  const head = [`## ${group.title}`, ...(group.note === undefined ? [] : [group.note])]
  if (problem !== null) return [...head, `Not measured: ${problem}.`].join('\n\n')
  const columns = ['row', 'unit', 'Errand best', 'Errand default', ...peers, 'ratio', 'aim', 'met?']
  const table = [
    line(columns),
    line(columns.map((_, i) => (i >= 2 && i < 4 + peers.length ? '---:' : '---'))),
    ...group.rows(measuredIn(outcome)).map((row) => line(cells(row, peers))),
  ]
  return [...head, about(outcome), table.join('\n'), ...shares(outcome)].join('\n\n')
}

function line(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`
}

function cells(row: ComparedRow, peers: readonly PeerName[]): readonly string[] {
  const figure = (runs: readonly number[] | null | undefined): string =>
    runs === null || runs === undefined ? '' : spread(runs)
  const stacked = (cell: (verdict: Verdict) => string): string =>
    row.verdicts.map(cell).join('<br>')
  return [
    row.what,
    row.unit,
    figure(row.best),
    figure(row.byDefault),
    ...peers.map((peer) => figure(row.peers[peer])),
    stacked(({ of, runs }) => `${shown(median(runs))} ${of}`.trim()),
    stacked(({ aim }) => aim?.text ?? '–'),
    stacked((verdict) => (isMet(verdict) === null ? '–' : isMet(verdict) ? 'yes' : '**no**')),
  ]
}

/** Null where there is no aim. */
function isMet({ aim, runs }: Verdict): boolean | null {
  return aim === null ? null : aim.holds(median(runs))
}

function about({ group, runs, counted, all }: Outcome): string {
  const others = median(all.map(({ otherCores }) => otherCores))
  const noise = others > noisyCores ? '**noisy**: ' : ''
  const dropped = all.filter(({ short }) => short.length > 0)
  const why = dropped.map(({ short }) => short.join(', ')).join('; ')
  return [
    `Medians (min-max) of ${runs.length} ${runs.length === 1 ? 'run' : 'runs'}; ${noise}others took ${shown(others)} cores.`,
    ...(dropped.length === 0
      ? []
      : [
          `${dropped.length} of ${all.length} runs did not count, because a peer had less than ${leastOfShare} of its share in baseline.md: ${why}.`,
        ]),
    ...(group.shares.length > 0 && counted === 0
      ? ['**No run counts**: the figures are of those that do not.']
      : []),
  ].join(' ')
}

function shares(outcome: Outcome): readonly string[] {
  const { group } = outcome
  if (group.shares.length === 0) return []
  const rate = (piece: string): string => shown(median(measuredIn(outcome)(piece, 'rate')))
  const rows = group.shares.map((share) => {
    const now = medianShare(share, outcome)
    const figures = [now, share.before, now / share.before].map((part) => part.toFixed(3))
    return line([share.piece, `${share.raw}, ${rate(share.raw)} jobs/s`, ...figures])
  })
  const head = ['peer', 'raw engine', 'share now', 'share in baseline.md', 'now / then']
  return [[line(head), line(['---', '---', '---:', '---:', '---:']), ...rows].join('\n')]
}

/** A count of what is met, and what falls short. */
export function summary(outcomes: readonly Outcome[]): string {
  const verdicts = outcomes
    .filter(({ problem }) => problem === null)
    .flatMap((outcome) =>
      outcome.group
        .rows(measuredIn(outcome))
        .flatMap(({ what, verdicts }) =>
          verdicts.map((verdict) => ({ title: outcome.group.title, what, verdict })),
        ),
    )
    .filter(({ verdict }) => verdict.aim !== null)
  const short = verdicts.filter(({ verdict }) => isMet(verdict) === false)
  const failed = outcomes.filter(({ problem }) => problem !== null)
  const isShort = short.length + failed.length > 0
  return [
    `${verdicts.length - short.length} of ${verdicts.length} aims are met.${isShort ? ' Short or missing:' : ''}`,
    '',
    ...short.map(
      ({ title, what, verdict: { of, runs, aim } }) =>
        `- ${title}: ${what} is ${shown(median(runs))} ${of}, should be ${aim?.text ?? ''}`,
    ),
    ...failed.map(({ group, problem }) => `- ${group.title}: not measured, ${problem ?? ''}`),
  ].join('\n')
}
