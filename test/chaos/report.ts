/** What a run prints: its figures, the times of its rescues, and the whole story of each job that broke a rule. */
import type { Violation } from './check.ts'
import { quantile, type Figures } from './figures.ts'
import type { History } from './history.ts'
import type { Line } from './ledger.ts'
import { boundOf, type Pace } from './rescues.ts'

/** So many violations of one rule are told with their stories. */
const mostStories = 3
const bucketsMs = [500, 1_000, 1_500, 2_000, 2_500, 3_000, 4_000, 6_000, 10_000, Infinity]
const barWidth = 40

export function table(figures: Figures): string {
  const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`
  const { timelyMs, hinderedMs, fromLiving } = figures.times
  const after = (ms: readonly number[]): (readonly [string, string])[] => [
    ['    after, p50', `${quantile(ms, 0.5)} ms`],
    ['    after, p99', `${quantile(ms, 0.99)} ms`],
    ['    after, at most', `${ms.at(-1) ?? 0} ms`],
  ]
  const rows: readonly (readonly [string, string | number])[] = [
    ['calls of enqueue', figures.calls],
    ['  rejected', figures.rejected],
    ['  of them with unknown outcome', figures.unknown],
    ['jobs', figures.jobs],
    ['kills of workers', figures.kills],
    ['kills of producers', figures.producerKills],
    ['stops', figures.stops],
    ['retirements', figures.retirements],
    ['server restarts', figures.restarts],
    ['fail-overs', figures.failOvers],
    ['black holes', figures.blackHoles],
    ['silences', figures.silences],
    ['terminated connections', figures.terminated],
    ['fail-overs and moves', figures.upheavals],
    ['rescues', figures.rescues],
    ['  while a worker was fit to', timelyMs.length],
    ...after(timelyMs),
    ['  while none was', hinderedMs.length],
    ...after(hinderedMs),
    ['  from a process that lived', fromLiving],
    ['duplicates run', figures.duplicates],
    ['refused stale settlements', figures.refusals],
    ['runs given up in time', figures.givenUp],
    ['time to drain', seconds(figures.drainMs)],
  ]
  return rows.map(([name, value]) => `${name.padEnd(32)}${String(value).padStart(10)}`).join('\n')
}

/** How long jobs lay with a silent process, as bars. */
export function histogram(rescueMs: readonly number[]): string {
  const counts = bucketsMs.map(
    (to, i) => rescueMs.filter((ms) => ms <= to && ms > (bucketsMs[i - 1] ?? -Infinity)).length,
  )
  const most = Math.max(1, ...counts)
  return counts
    .map((count, i) => {
      const to = bucketsMs[i]!
      const name = to === Infinity ? `> ${bucketsMs.at(-2)} ms` : `≤ ${to} ms`
      const bar = '█'.repeat(Math.ceil((count / most) * barWidth))
      return `${name.padStart(10)} ${String(count).padStart(6)} ${bar}`
    })
    .join('\n')
}

/** Of fewer rescues the slowest hundredth says nothing. */
const leastRescues = 100

/** The rescues that took too long, in words. */
export function lateness({ times }: Figures, pace: Pace): readonly string[] {
  if (times.timelyMs.length < leastRescues) return []
  const p99 = quantile(times.timelyMs, 0.99)
  const bound = Math.round(boundOf(pace))
  return p99 <= bound ? [] : [`timely rescues took ${p99} ms at p99; the bound is ${bound} ms`]
}

/** Every rule that was broken, with the stories of the first few jobs that broke it. */
export function indictment(violations: readonly Violation[], history: History): string {
  const parts: string[] = []
  for (const [rule, broken] of Map.groupBy(violations, (one) => one.rule)) {
    parts.push(`VIOLATION (${broken.length}): ${rule}`)
    for (const { id, what } of broken.slice(0, mostStories)) {
      parts.push(`  ${id ?? 'the run'}: ${what}`)
      if (id !== null) parts.push(storyOf(id, history))
    }
  }
  return parts.join('\n')
}

function storyOf(id: string, { stories, calls, lines }: History): string {
  const story = stories.get(id)
  if (story === undefined) return '    nothing is known of it'
  const { record } = story
  const holders = new Set(story.lines.filter(({ kind }) => kind === 'handed').map(({ by }) => by))
  const signals = lines.filter((line) => line.kind === 'signal' && holders.has(line.process))
  const intents = [...calls.values()]
    .filter(({ ack }) => ack?.id === id)
    .map(({ intent }) => intent)
  const told = [...intents, ...story.lines, ...signals].toSorted((a, b) => a.at - b.at)
  return [
    ...told.map((line) => `    ${asText(line)}`),
    `    store: ${record === null ? 'nothing' : JSON.stringify(record)}`,
    ...story.children.map((child) => `    child: ${JSON.stringify(child)}`),
  ].join('\n')
}

function asText({ at, by, kind, ...rest }: Line): string {
  const facts = Object.entries(rest).map(([name, value]) => `${name}=${value}`)
  return `${new Date(at).toISOString().slice(11, -1)} ${by} ${kind} ${facts.join(' ')}`
}

/** What was lost in fail-overs, by the rule that would have been broken else. */
export function lossTable(losses: readonly Violation[]): string {
  const byRule = Map.groupBy(losses, ({ rule }) => rule)
  const rows = [...byRule].map(([rule, lost]) => `  ${String(lost.length).padStart(6)} ${rule}`)
  return [`lost in fail-overs: ${losses.length}`, ...rows].join('\n')
}
