/**
 * Lists jobs by what no index of a store holds: a tag, a value inside the input or output. Pages of
 * the store are read and looked through one after the other, until enough jobs were found or enough
 * was read.
 */
import { canonicalJson } from '../core/json.ts'
import type { StoredJob } from '../store/job.ts'
import type { ListQuery, Page, Search } from '../store/readers.ts'

/** How much one call looks at, in jobs and in characters of their payloads. */
const most = { jobs: 5_000, chars: 8_388_608 } as const
/**
 * How many jobs the first page of the store has, and a later one at most: each has twice as many as
 * the one before.
 */
const pageSize = { first: 100, most: 1_000 } as const

/** Lists with a `list` that knows no tags and no search. */
export async function searched(
  query: ListQuery,
  list: (query: ListQuery) => Page | Promise<Page>,
): Promise<Page> {
  const { tag, search, ...plain } = query
  if (tag === undefined && search === undefined) return list(query)
  const found: StoredJob[] = []
  let after = query.after
  let size: number = pageSize.first
  let limit = size
  let lookedAt = 0
  let chars = 0
  for (;;) {
    const page = await list({ ...plain, limit, ...(after === undefined ? {} : { after }) })
    const hits = page.jobs.filter((job) => fits(job, tag, search))
    const last = hits[query.limit - found.length - 1]
    if (last !== undefined && last !== hits.at(-1)) {
      // A cursor leads behind a page only: read one that ends with the last job for which there is
      // room.
      limit = page.jobs.indexOf(last) + 1
      continue
    }
    found.push(...hits)
    lookedAt += Math.max(page.jobs.length, 1)
    for (const { input, output } of page.jobs) chars += input.length + (output?.length ?? 0)
    const isOver = found.length >= query.limit || lookedAt >= most.jobs || chars >= most.chars
    if (page.next === null || isOver) return { jobs: found, next: page.next }
    after = page.next
    limit = size = Math.min(2 * size, pageSize.most)
  }
}

function fits(job: StoredJob, tag: string | undefined, search: Search | undefined): boolean {
  if (tag !== undefined && !job.tags.includes(tag)) return false
  return search === undefined || matches(job, search)
}

/** Whether a job holds a value at a place. */
function matches(job: StoredJob, { in: where, path, equals }: Search): boolean {
  const text = where === 'input' ? job.input : job.output
  if (text === null || job.codec !== null) return false
  try {
    let value: unknown = JSON.parse(text)
    for (const key of path) {
      if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return false
      value = (value as Record<string, unknown>)[key]
    }
    return canonicalJson(value) === equals
  } catch {
    return false
  }
}
