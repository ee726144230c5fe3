/**
 * Lists jobs by what no index of a store holds: a tag, a schedule, a value inside the input or output. Pages of
 * the store are read and looked through one after the other, until enough jobs were found or enough
 * was read.
 */
import { parseDigits } from '../core/digits.ts'
import { canonicalJson } from '../core/json.ts'
import type { StoredJob } from '../store/job.ts'
import type { ListQuery, Page, Search } from '../store/readers.ts'

/** How much one call looks at: jobs, pages, which may be empty, and characters of payloads. */
const most = { jobs: 5_000, pages: 5_000, chars: 8_388_608 } as const
/**
 * How many jobs the first page of the store has, and a later one at most: each has twice as many as
 * the one before.
 */
const pageSize = { first: 100, most: 1_000 } as const

/** Lists with a `list` that knows no tags, no schedules and no search. */
export async function searched(
  query: ListQuery,
  list: (query: ListQuery) => Page | Promise<Page>,
): Promise<Page> {
  const { tag, schedule, search, ...plain } = query
  if (tag === undefined && schedule === undefined && search === undefined) return list(query)
  const found: StoredJob[] = []
  let after = query.after
  let size: number = pageSize.first
  let limit = size
  let lookedAt = 0
  let pages = 0
  let chars = 0
  for (;;) {
    const page = await list({ ...plain, limit, ...(after === undefined ? {} : { after }) })
    const hits = page.jobs.filter((job) => fits(job, query))
    const last = hits[query.limit - found.length - 1]
    if (last !== undefined && last !== hits.at(-1)) {
      // A cursor leads behind a page only: read one that ends with the last job for which there is
      // room.
      limit = page.jobs.indexOf(last) + 1
      continue
    }
    found.push(...hits)
    lookedAt += page.jobs.length
    pages += 1
    for (const { input, output } of page.jobs) chars += input.length + (output?.length ?? 0)
    const isOver =
      found.length >= query.limit ||
      lookedAt >= most.jobs ||
      pages >= most.pages ||
      chars >= most.chars
    if (page.next === null || isOver) return { jobs: found, next: page.next, scanned: lookedAt }
    after = page.next
    limit = size = Math.min(2 * size, pageSize.most)
  }
}

function fits(job: StoredJob, { tag, schedule, search }: ListQuery): boolean {
  if (tag !== undefined && !job.tags.includes(tag)) return false
  if (schedule !== undefined && !isTickOf(job, schedule)) return false
  return search === undefined || matches(job, search)
}

function isTickOf({ options }: StoredJob, schedule: string): boolean {
  return options !== null && holds(options, ['tick', 'schedule'], JSON.stringify(schedule))
}

/** Whether a job holds a value at a place. */
function matches(job: StoredJob, { in: where, path, equals }: Search): boolean {
  const text = where === 'input' ? job.input : job.output
  return text !== null && job.codec === null && holds(text, path, equals)
}

/** Whether a text is JSON that holds a value at a place. */
function holds(text: string, path: readonly string[], equals: string): boolean {
  try {
    let value: unknown = parseDigits(text)
    for (const key of path) {
      if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return false
      value = (value as Record<string, unknown>)[key]
    }
    return canonicalJson(value) === equals
  } catch {
    return false
  }
}
