/** Reading over several partitions. */
import { handedBytes, type LogLine } from '../../../core/job.ts'
import type { ListQuery, Page, Recorded, RecordedQuery } from '../../../store/readers.ts'
import type { StoredJob } from '../../../store/job.ts'
import { cursorOf } from '../../bounds.ts'
import { gathered } from '../pages.ts'
import type { Partition } from './partition.ts'
import { get, list, logs, recorded, type PartPage } from '../readers.ts'
import type { Spread } from './place.ts'

/**
 * How often one page asks one partition for more, at most; each time it looks at up to 1,000 jobs.
 */
const mostLooks = 5

export async function getSpread(
  spread: Spread,
  ids: readonly string[],
): Promise<(StoredJob | null)[]> {
  const found = await spread.share(ids, (id) => spread.ofId(id), get)
  if (spread.isSingle) return found
  const missed = [...found.keys()].filter((index) => found[index] === null)
  if (missed.length === 0) return found
  const wanted = missed.map((index) => ids[index] ?? '')
  const answers = await Promise.all(spread.all.map((partition) => get(partition, wanted)))
  for (const [n, index] of missed.entries()) {
    found[index] = answers.map((answer) => answer[n] ?? null).find((one) => one !== null) ?? null
  }
  return found
}

/** The log lines of a job, wherever it lies. */
export async function logsSpread(spread: Spread, id: string): Promise<LogLine[]> {
  return logs(await placeOf(spread, id), id)
}

/** The records of a job's runs, wherever it lies. */
export async function recordedSpread(spread: Spread, query: RecordedQuery): Promise<Recorded[]> {
  const { id, after, limit } = query
  const partition = await placeOf(spread, id)
  return gathered<Recorded>(limit, (last, most) =>
    recorded(partition, { id, after: last?.name ?? after, limit: most }),
  )
}

async function placeOf(spread: Spread, id: string): Promise<Partition> {
  const places = spread.isSingle ? null : await spread.locate([id])
  return places?.get(id) ?? spread.ofId(id)
}

/**
 * Pages by insertion, newest first. The cursor tells for each partition the rank before which it
 * goes on: a number, `-` for one that has not been asked yet, or `.` for one that is done.
 */
export async function listSpread(spread: Spread, query: ListQuery): Promise<Page> {
  const cursors = readCursors(spread, query.after)
  const parts = await Promise.all(
    spread.all.map(async (partition, n): Promise<Part> => {
      const before = cursors[n] ?? 'new'
      if (before === 'done') return { jobs: [], next: null, before }
      return { ...(await fill(partition, query, before === 'new' ? null : before)), before }
    }),
  )
  return merge(parts, query.limit)
}

type Cursor = number | 'new' | 'done'

interface Part extends Omit<PartPage, 'cut'> {
  /** Where the page began. */
  readonly before: Cursor
}

async function fill(
  partition: Partition,
  query: ListQuery,
  before: number | null,
): Promise<Omit<PartPage, 'cut'>> {
  const jobs: PartPage['jobs'][number][] = []
  let next = before
  for (let looks = 0; looks < mostLooks; looks += 1) {
    const page = await list(partition, { ...query, limit: query.limit - jobs.length }, next)
    jobs.push(...page.jobs)
    next = page.next
    if (next === null || page.cut || jobs.length >= query.limit) break
  }
  return { jobs, next }
}

/**
 * Merges the partitions' pages, and stops where one has more than was looked at, or with as many
 * bytes as one call gives.
 */
function merge(parts: readonly Part[], limit: number): Page {
  const taken = parts.map(() => 0)
  const jobs: StoredJob[] = []
  let size = 0
  while (jobs.length < limit && size < handedBytes) {
    let newest = -1
    let isBlind = false
    for (const [n, part] of parts.entries()) {
      const head = part.jobs[taken[n] ?? 0]?.job
      if (head === undefined) {
        if (part.next !== null) isBlind = true
        continue
      }
      const best = parts[newest]?.jobs[taken[newest] ?? 0]?.job
      if (best === undefined || isNewer(head, best)) newest = n
    }
    if (newest < 0 || isBlind) break
    const job = parts[newest]?.jobs[taken[newest] ?? 0]?.job
    if (job !== undefined) {
      jobs.push(job)
      size += job.input.length + (job.output?.length ?? 0)
    }
    taken[newest] = (taken[newest] ?? 0) + 1
  }
  const cursors = parts.map((part, n) => cursorAfter(part, taken[n] ?? 0))
  return { jobs, next: cursors.every((cursor) => cursor === 'done') ? null : write(cursors) }
}

function cursorAfter(part: Part, taken: number): Cursor {
  if (taken === part.jobs.length) return part.next ?? 'done'
  if (taken > 0) return part.jobs[taken - 1]?.rank ?? 'done'
  // What comes into a partition from now on is no part of the listing.
  return part.before === 'new' ? (part.jobs[0]?.rank ?? 0) + 1 : part.before
}

function isNewer(a: StoredJob, b: StoredJob): boolean {
  return a.createdAt === b.createdAt ? a.id > b.id : a.createdAt > b.createdAt
}

function write(cursors: readonly Cursor[]): string {
  return cursors
    .map((cursor) => (cursor === 'new' ? '-' : cursor === 'done' ? '.' : String(cursor)))
    .join(',')
}

function readCursors(spread: Spread, after: string | undefined): Cursor[] {
  if (after === undefined) return spread.all.map(() => 'new')
  return after.split(',').map((cursor) => {
    if (cursor === '-') return 'new'
    return cursor === '.' ? 'done' : cursorOf(cursor)
  })
}
