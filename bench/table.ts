/** The results as Markdown. */
import { noisyCores } from './kit/cpu.ts'
import { median, shown, spread } from './kit/numbers.ts'
import type { Row } from './row.ts'
import type { Outcome } from './run.ts'

/** One section for each workload: a table with a column of figures for each durability. */
export function section(outcomes: readonly Outcome[]): string {
  const [first] = outcomes
  if (first === undefined) return ''
  return [`## ${first.workload.title}`, ...outcomes.map(part)].join('\n\n')
}

function part(outcome: Outcome): string {
  const { durability, problem, runs, otherCores, rows } = outcome
  const noise = otherCores > noisyCores ? '**noisy**: ' : ''
  const head = `Durability \`${durability}\``
  if (problem !== null) return `${head}: not measured, ${problem}.`
  return [
    `${head}, ${runs} ${runs === 1 ? 'run' : 'runs'}; ${noise}others took ${shown(otherCores)} cores.`,
    '',
    '| what | unit | median (min-max) | aim | holds | note |',
    '| --- | --- | ---: | --- | --- | --- |',
    ...rows.map(line),
  ].join('\n')
}

function line({ what, unit, runs, aim, note }: Row): string {
  return `| ${what} | ${unit} | ${spread(runs)} | ${aim?.text ?? ''} | ${verdict({ runs, aim })} | ${note} |`
}

function verdict({ runs, aim }: Pick<Row, 'runs' | 'aim'>): string {
  if (aim === null) return ''
  return aim.holds(median(runs)) ? 'yes' : '**no**'
}

/** What falls short, and a count. */
export function summary(outcomes: readonly Outcome[]): string {
  const aims = outcomes.flatMap(({ workload, durability, rows }) =>
    rows.filter(({ aim }) => aim !== null).map((row) => ({ workload, durability, row })),
  )
  const short = aims.filter(({ row }) => row.aim?.holds(median(row.runs)) === false)
  const failed = outcomes.filter(({ problem }) => problem !== null)
  return [
    `${aims.length - short.length} of ${aims.length} aims hold.${short.length + failed.length === 0 ? '' : ' Short or missing:'}`,
    '',
    ...short.map(
      ({ workload, durability, row: { what, runs, unit, aim } }) =>
        `- ${workload.title}, \`${durability}\`: ${what} is ${shown(median(runs))} (${unit}), should be ${aim?.text}`,
    ),
    ...failed.map(
      ({ workload, durability, problem }) =>
        `- ${workload.title}, \`${durability}\`: not measured, ${problem}`,
    ),
  ].join('\n')
}
