/** Follow-ups of the ordinary kind, which are added with the ends of many jobs. */
import { addArguments, batchOf } from './insert-plain.ts'
import { numbers } from './arrays.ts'
import type { Plain } from './plain-groups.ts'

/** Adds follow-ups, whose values stand behind so many others, but not those of jobs that were left alone. */
export function followed(aside: string, width: number): string {
  return `errand.follow(${aside}, $${width + 1}, ${addArguments(width + 2)})`
}

/** The values for it; null when there are no follow-ups. */
export function followUpsOf(plain: readonly Plain[]): readonly unknown[] | null {
  const jobs = plain.flatMap(({ finish }) => finish.followUps)
  if (jobs.length === 0) return null
  const parents = plain.flatMap(({ finish, leased }) => finish.followUps.map(() => leased.seq))
  return [numbers(parents), ...batchOf(jobs)]
}
