/** Reading jobs. */
import { isJobId } from '../../core/id.ts'
import { handedBytes, type JobState, type LogLevel, type LogLine } from '../../core/job.ts'
import type { ListQuery, Page, QueueCount, QueueStats } from '../../store/readers.ts'
import type { StoredJob } from '../../store/job.ts'
import { statsOf } from '../queues.ts'
import { cursorOf } from '../bounds.ts'
import { nearestTime } from '../unreadable.ts'
import type { Database } from './database.ts'
import { planned } from './plan-settings.ts'
import { factsOfJob } from './job-columns.ts'
import { texts, uuids } from './arrays.ts'
import { readStored, seqOf, storedColumns, storedWidth, type Row, type Value } from './rows.ts'
import { BLOCKED, codeOf, COMPLETED, RUNNING, stateOf, type StateCode } from '../state-codes.ts'

/** How many runs of jobs of each priority are asked since when they have been due. */
const firstLooks = 20
/** How many jobs one page looks at, at most. */
const scannedPerPage = 5_000

/**
 * A job with its state, from the tables that hold it. What runs under a shared lease is found by a
 * scan of `leases`, which holds a row for each claim under way; what ended together with others, by
 * the index of `batches`. Whether a job is scheduled or blocked is asked with `LIMIT`, job by job:
 * of an `EXISTS` the planner may read the whole table first.
 */
export const readerViews: string = `
CREATE VIEW errand.stored AS
SELECT ${factsOfJob},
  coalesce(f.counters, b.counters, j.counters) AS counters, coalesce(r.token, l.token, f.token, b.token, j.token) AS token,
  coalesce(r.started_at, f.started_at, b.started_at) AS started_at, c.seq IS NOT NULL AS cancel_asked,
  CASE
    WHEN r.seq IS NOT NULL OR l.token IS NOT NULL THEN 3
    WHEN f.seq IS NOT NULL THEN f.state
    WHEN b.token IS NOT NULL THEN 4
    WHEN (SELECT true FROM errand.scheduled s WHERE s.due_at = j.due_at AND s.seq = j.seq LIMIT 1) THEN 1
    WHEN (SELECT true FROM errand.needs n WHERE n.seq = j.seq LIMIT 1) THEN 0
    ELSE 2
  END AS state,
  coalesce(r.worker, l.worker, f.worker, b.worker, j.worker) AS worker, coalesce(r.lease_until, l.until) AS lease_until,
  coalesce(f.finished_at, b.finished_at) AS finished_at, coalesce(f.keep_ms, b.keep_ms) AS keep_ms,
  p.value AS progress, array_to_json(j.attempts)::text AS attempts, coalesce(f.output, b.output) AS output, f.reason
FROM errand.jobs j
LEFT JOIN errand.running r ON r.seq = j.seq
LEFT JOIN LATERAL (SELECT token, worker, until FROM errand.leases WHERE held @> j.seq LIMIT 1) l ON r.seq IS NULL
LEFT JOIN errand.finished f ON f.seq = j.seq
LEFT JOIN LATERAL (
  SELECT token, worker, counters, finished_at, keep_ms, finished_at - agos[place] AS started_at, outputs[place] AS output
  FROM errand.batches, LATERAL (
    SELECT sum(least(upper(s), j.seq + 1) - lower(s))::int AS place FROM unnest(seqs) s WHERE lower(s) <= j.seq) p
  WHERE seqs @> j.seq LIMIT 1) b ON f.seq IS NULL
LEFT JOIN errand.progress p ON p.seq = j.seq
LEFT JOIN errand.cancels c ON c.seq = j.seq;

-- Planning a statement over so many tables takes longer than running it, so the plan is kept; compiling it would take seconds.
CREATE FUNCTION errand.stored_of(p_seqs int8[]) RETURNS SETOF errand.stored LANGUAGE plpgsql STABLE ROWS 100 ${planned} AS $$
BEGIN
  RETURN QUERY SELECT s.* FROM unnest(p_seqs) u (seq) CROSS JOIN LATERAL (SELECT * FROM errand.stored WHERE seq = u.seq OFFSET 0) s;
END $$;

CREATE FUNCTION errand.stored_by_id(p_ids uuid[]) RETURNS SETOF errand.stored LANGUAGE plpgsql STABLE ROWS 100 ${planned} AS $$
BEGIN
  RETURN QUERY SELECT s.* FROM unnest(p_ids) u (id) CROSS JOIN LATERAL (SELECT seq FROM errand.jobs WHERE id = u.id OFFSET 0) j
    CROSS JOIN LATERAL (SELECT * FROM errand.stored WHERE seq = j.seq OFFSET 0) s;
END $$;

-- When the ready job was due that has been due for longest, among the first of each priority:
-- some steps in the indexes of both lines for each priority, however long they are.
CREATE FUNCTION errand.oldest_ready(p_queue text) RETURNS int8 LANGUAGE plpgsql STABLE ${planned} AS $$
DECLARE
  v_priority int2;
  v_oldest int8;
BEGIN
  LOOP
    v_priority := least(
      (SELECT priority FROM errand.ready WHERE queue = p_queue AND priority > coalesce(v_priority, -32768) ORDER BY priority LIMIT 1),
      (SELECT priority FROM errand.suspects WHERE queue = p_queue AND priority > coalesce(v_priority, -32768) ORDER BY priority LIMIT 1));
    IF v_priority IS NULL THEN RETURN v_oldest; END IF;
    v_oldest := least(v_oldest,
      (SELECT min(j.due_at)
        FROM (SELECT first FROM errand.ready WHERE queue = p_queue AND priority = v_priority
          ORDER BY place, last LIMIT ${firstLooks}) r
        CROSS JOIN LATERAL (SELECT due_at FROM errand.jobs WHERE seq = r.first OFFSET 0) j),
      (SELECT min(j.due_at)
        FROM (SELECT seq FROM errand.suspects WHERE queue = p_queue AND priority = v_priority
          ORDER BY place, seq LIMIT ${firstLooks}) s
        CROSS JOIN LATERAL (SELECT due_at FROM errand.jobs WHERE seq = s.seq OFFSET 0) j));
  END LOOP;
END $$;

-- The numbers of all jobs under shared leases.
CREATE FUNCTION errand.leased_seqs() RETURNS SETOF int8 LANGUAGE sql STABLE SET jit = off ROWS 1000 AS $$
  SELECT generate_series(lower(r), upper(r) - 1) FROM (SELECT unnest(held) r FROM errand.leases) l
$$;
`

/** Walks the unique index of ids. */
const GET = `SELECT ${storedColumns} FROM errand.stored_by_id($1)`
const COUNTS = `SELECT queue, state, sum(count)::int8 FROM errand.tally GROUP BY queue, state HAVING sum(count) <> 0 ORDER BY queue, state`
const OLDEST = `SELECT queue, errand.oldest_ready(queue) FROM unnest($1::text[]) queue`
const LOGS = `SELECT at, level, text FROM errand.log WHERE seq = (SELECT seq FROM errand.jobs WHERE id = $1) ORDER BY line`

export async function get(db: Database, ids: readonly string[]): Promise<(StoredJob | null)[]> {
  if (ids.length === 0) return db.nothing([])
  const rows = await db.read(GET, [uuids(ids)])
  const found = new Map(rows.map((row) => [row[1] as string, row]))
  return ids.map((id) => {
    const row = found.get(id)
    return row === undefined ? null : readStored(row)
  })
}

export async function counts(db: Database): Promise<QueueCount[]> {
  const rows = await db.read(COUNTS, [])
  return rows.map(([queue, state, count]) => ({
    queue: queue as string,
    state: stateOf(state as number),
    count: count as number,
  }))
}

/**
 * Returns for each queue when the ready job was due that has been due for longest, among the first
 * in line of each priority. One behind these may have been due for longer: it was blocked then, or
 * many before it were put back and kept their place.
 */
export async function stats(db: Database): Promise<QueueStats[]> {
  const found = await counts(db)
  const busy = found.filter(({ state }) => state === 'ready').map(({ queue }) => queue)
  const rows = busy.length === 0 ? [] : await db.read(OLDEST, [texts(busy)])
  const oldest = new Map(rows.map(([queue, dueAt]) => [queue as string, dueAt as number | null]))
  return statsOf(found, (queue) => oldest.get(queue) ?? null)
}

export async function logs(db: Database, id: string): Promise<LogLine[]> {
  const rows = await db.read(LOGS, [uuids([id]) === '{NULL}' ? null : id])
  return rows.map(([at, level, text]) => ({
    at: nearestTime(at),
    level: level as LogLevel,
    text: text as string,
  }))
}

/**
 * Pages by insertion, newest first; the cursor is a job's number, so that new jobs do not shift
 * pages. Looks at a bounded stretch of the narrowest index that holds all answers.
 */
export async function list(db: Database, query: ListQuery): Promise<Page> {
  const values: Value[] = []
  const add = (value: Value): string => `$${values.push(value)}`
  const before = add(query.after === undefined ? Number.MAX_SAFE_INTEGER : cursorOf(query.after))
  const candidates = candidatesOf(query, before, add)
  const { own, standing } = conditionsOf(query, add)
  const look = (scanned: number): Promise<readonly Row[]> =>
    db.readOnce(
      `WITH c AS MATERIALIZED (${candidates} ORDER BY seq DESC LIMIT ${scanned})
       SELECT ${storedColumns}, (SELECT min(seq) FROM c HAVING count(*) = ${scanned}), found FROM (
         SELECT *, sum(size) OVER (ORDER BY seq DESC) - size AS before, count(*) OVER ()::int AS found FROM (
           SELECT *, octet_length(input) + coalesce(octet_length(output), 0) AS size
           FROM errand.stored_of(ARRAY(SELECT DISTINCT c.seq FROM c ${own})) s ${standing} ORDER BY seq DESC LIMIT ${query.limit + 1}) sized) summed
       WHERE before < ${handedBytes} ORDER BY seq DESC`,
      values,
    )
  let rows: readonly Row[] = []
  const foundBy = (): number => (rows[0]?.[storedWidth + 1] as number | undefined) ?? 0
  for (const scanned of looksFor(query.limit + 1)) {
    rows = await look(scanned)
    const isShort = foundBy() <= query.limit && rows[0]?.[storedWidth] !== null
    if (!isShort || own + standing === '') break
  }
  const page = rows.slice(0, query.limit)
  const last = page.at(-1)
  if (foundBy() > page.length && last !== undefined)
    return { jobs: page.map(readStored), next: String(seqOf(last)) }
  const lowest = rows.length > 0 ? rows[0]?.[storedWidth] : await edgeOf(db, candidates, values)
  return {
    jobs: page.map(readStored),
    next: lowest === null || lowest === undefined ? null : String(lowest),
  }
}

/** At how many jobs each look for a page looks: what many jobs are is found among the first. */
function looksFor(wanted: number): readonly number[] {
  return [...[wanted, 8 * wanted].filter((scanned) => scanned < scannedPerPage), scannedPerPage]
}

/** The lowest number that a page without answers looked at, when there are more. */
async function edgeOf(db: Database, candidates: string, values: readonly Value[]): Promise<Value> {
  const used = values.filter((_, index) => candidates.includes(`$${index + 1}`))
  const rows = await db.readOnce(
    `SELECT seq FROM (${candidates}) c ORDER BY seq DESC LIMIT 1 OFFSET ${scannedPerPage - 1}`,
    used,
  )
  return rows[0]?.[0] ?? null
}

/** What is no id is the parent of no job. */
function idOf(text: string): string | null {
  return isJobId(text) ? text : null
}

/**
 * The numbers that include all results, as a statement without order. The number of a blocked job
 * comes once for each of its needs.
 */
function candidatesOf(query: ListQuery, before: string, add: (value: Value) => string): string {
  const below = `seq < ${before}::int8`
  if (query.parent !== undefined)
    return `SELECT seq FROM errand.jobs WHERE parent = ${add(idOf(query.parent))}::uuid AND ${below}`
  if (query.group !== undefined)
    return `SELECT seq FROM errand.jobs WHERE group_id = ${add(query.group)} AND ${below}`
  if (query.uniqueKey !== undefined)
    return `SELECT seq FROM errand.jobs WHERE unique_key = ${add(query.uniqueKey)} AND ${below}`
  const parts = (query.states ?? []).map((state: JobState) => partOf(codeOf(state), below))
  return parts.length === 0 || parts.includes(null)
    ? `SELECT seq FROM errand.jobs WHERE ${below}`
    : `SELECT seq FROM (${parts.join(' UNION ALL ')}) u`
}

/** The numbers of the jobs of a state that few have; null for the others. */
function partOf(state: StateCode, below: string): string | null {
  if (state === BLOCKED) return `SELECT seq FROM errand.needs WHERE ${below}`
  if (state === RUNNING)
    return `SELECT seq FROM errand.running WHERE ${below} UNION ALL
            SELECT seq FROM errand.leased_seqs() seq WHERE ${below}`
  if (state > COMPLETED)
    return `SELECT seq FROM errand.finished WHERE state = ${state} AND state > 4 AND ${below}`
  return null
}

/**
 * The conditions of a query: `own` on the row of a job, which is checked first, and `standing` on
 * where the job stands, which needs all tables. Bounds of time include their first and exclude
 * their last instant.
 */
function conditionsOf(
  query: ListQuery,
  add: (value: Value) => string,
): { readonly own: string; readonly standing: string } {
  const own: string[] = []
  const standing: string[] = []
  const test = (list: string[], condition: string, value: Value | undefined): void => {
    if (value !== undefined) list.push(`${condition} ${add(value)}`)
  }
  const { states, tasks, parent } = query
  if (states !== undefined)
    standing.push(`s.state = ANY ('{${states.map((state) => codeOf(state)).join()}}'::int[])`)
  if (tasks !== undefined)
    own.push(tasks.length === 0 ? 'false' : `j.task IN (${tasks.map(add).join()})`)
  test(own, 'j.queue =', query.queue)
  test(own, 'j.unique_key =', query.uniqueKey)
  if (parent !== undefined) own.push(`j.parent = ${add(idOf(parent))}::uuid`)
  test(own, 'j.group_id =', query.group)
  test(own, 'j.created_at >=', query.createdFrom)
  test(own, 'j.created_at <', query.createdTo)
  test(standing, 's.finished_at >=', query.finishedFrom)
  test(standing, 's.finished_at <', query.finishedTo)
  const row = `SELECT 1 FROM errand.jobs j WHERE j.seq = c.seq AND ${own.join(' AND ')} OFFSET 0`
  return {
    own: own.length === 0 ? '' : `CROSS JOIN LATERAL (${row}) j`,
    standing: standing.length === 0 ? '' : `WHERE ${standing.join(' AND ')}`,
  }
}
