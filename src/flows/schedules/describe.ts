/** A schedule's times in words. */
import { formatMs } from '../../core/duration.ts'
import type { StoredSchedule } from './stored.ts'

export function describeWhen({ when, startMs, endMs }: StoredSchedule): string {
  const from = startMs === null ? '' : ` from ${iso(startMs)}`
  const until = endMs === null ? '' : ` until ${iso(endMs)}`
  return `${wordsOf(when)}${from}${until}`
}

function wordsOf(when: StoredSchedule['when']): string {
  switch (when.kind) {
    case 'cron':
      return `${when.cron} ${when.timezone}`
    case 'every':
      return `every ${formatMs(when.everyMs)}`
    case 'calendar':
      return `${setsOf(when.calendar)} ${when.timezone}`
    case 'at':
      return when.times.length === 1
        ? `at ${when.times.map(iso).join()}`
        : `at ${when.times.length} times`
    case 'rule':
      return 'by a rule of the code'
  }
}

function setsOf(calendar: object): string {
  const sets = Object.entries(calendar as Record<string, readonly number[] | null>)
  // Seconds of a calendar are 0 unless others are asked for.
  const isWhole = sets.some(([field, values]) => field === 'seconds' && values?.join() === '0')
  const named = sets.flatMap(([field, values]) =>
    values === null || (isWhole && field === 'seconds') ? [] : `${field} ${values.join()}`,
  )
  return named.length > 0 ? named.join(' ') : isWhole ? 'each minute' : 'each second'
}

function iso(ms: number): string {
  return new Date(ms).toISOString()
}
