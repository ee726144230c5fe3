/** The text that Prometheus reads, in its format 0.0.4. */
import { bucketBoundsMs, type LogHistogram } from '../log-histogram.ts'

/** The media type of the text. */
export const expositionType = 'text/plain; version=0.0.4; charset=utf-8'

export type LabelValues = Readonly<Record<string, string>>

/** One metric with its values. Names and help are ours, label values are anybody's. */
export interface Family {
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly samples: Iterable<readonly [labels: LabelValues, value: number | LogHistogram]>
}

/** Writes metrics as text. A metric without values is left out. */
export function exposition(families: Iterable<Family>): string {
  const lines: string[] = []
  for (const family of families) {
    const { name, help, type } = family
    const before = lines.length
    lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`)
    for (const [labels, value] of family.samples) {
      if (typeof value === 'number') lines.push(line(name, labelsText(labels), value))
      else writeHistogram(lines, name, labelsText(labels), value)
    }
    if (lines.length === before + 2) lines.length = before
  }
  return lines.length === 0 ? '' : `${lines.join('\n')}\n`
}

function writeHistogram(
  lines: string[],
  name: string,
  labels: string,
  { buckets, sumMs }: LogHistogram,
): void {
  let count = 0
  const bucket = (bound: string): string =>
    line(`${name}_bucket`, `${labels}${labels === '' ? '' : ','}le="${bound}"`, count)
  for (const [n, bound] of bucketBoundsMs.entries()) {
    count += buckets[n] ?? 0
    lines.push(bucket(String(bound / 1_000)))
  }
  count += buckets.at(-1) ?? 0
  lines.push(bucket('+Inf'))
  lines.push(line(`${name}_sum`, labels, sumMs / 1_000), line(`${name}_count`, labels, count))
}

function line(name: string, labels: string, value: number): string {
  return `${name}${labels === '' ? '' : `{${labels}}`} ${value}`
}

function labelsText(labels: LabelValues): string {
  return Object.entries(labels)
    .map(([name, value]) => `${name}="${escaped(value)}"`)
    .join(',')
}

const escapes: Readonly<Record<string, string>> = { '\\': '\\\\', '"': '\\"', '\n': '\\n' }

function escaped(value: string): string {
  return value.toWellFormed().replaceAll(/[\\"\n]/g, (found) => escapes[found] ?? found)
}
