/** New work: `insert`, and the follow-ups of settlements, which are inserts like any other. */
import { setTimeout } from 'node:timers/promises'
import type { Advance, InsertAnswer, Inserted } from '../../store/intake.ts'
import type { Need, NewJob } from '../../store/job.ts'
import type { Again, Database } from './database.ts'
import { unknownOutcome } from './errors.ts'
import { INSERT_MIXED, mixedValues } from './insert-mixed.ts'
import { add, isOrdinary } from './insert-plain.ts'
import { givenColumns } from './job-columns.ts'
import { uuids } from './arrays.ts'
import { CANCELLED, FAILED, packStates, type StateCode } from '../state-codes.ts'
import type { Caller } from './transactions.ts'

/** Through text, because some libraries write what is meant for JSON as JSON once more. */
const INSERT = `SELECT errand.insert($1::text::json, $2::text::json, $3)`
const INSERT_APART = `SELECT errand.insert($1::text::json, $2::text::json, $3, true)`
const INSERT_AGAIN = `SELECT errand.insert_again($1::text::json, $2::text::json, $3, $4)`
const RECHECK = `SELECT errand.recheck($1)`
/** Reads the doubted jobs, mostly none, then their needs by seq; locks as `recheck` does. */
const RECHECK_NEEDING = `SELECT CASE WHEN cardinality(ids) = 0 THEN 'none' ELSE errand.recheck(ids)::text END
  FROM (SELECT ARRAY(SELECT j.id FROM errand.doubts d JOIN errand.jobs j ON j.seq = d.seq
    WHERE EXISTS (SELECT 1 FROM errand.needs n WHERE n.seq = d.seq AND n.need = ANY ($1))) ids) doubted`

/** Adds jobs: those of the ordinary kind at one go. */
export async function insert(
  db: Database,
  jobs: readonly NewJob[],
  advances: readonly Advance[],
  tx: Caller | null,
): Promise<readonly InsertAnswer[]> {
  if (jobs.length === 0) return db.nothing([])
  const unknown = (cause: unknown): unknown =>
    unknownOutcome(
      db.location,
      jobs.map(({ id }) => id),
      cause,
    )
  const ahead = goAhead(jobs)
  const values = (): [string, string | null] => [
    JSON.stringify(
      jobs.map((job) => (ahead.has(job.id) ? { ...packJob(job), ahead: true } : packJob(job))),
    ),
    advances.length === 0 ? null : JSON.stringify(advances),
  ]
  const again: Again = (sinceMs, sentAt) => ({
    sql: INSERT_AGAIN,
    values: [...values(), sentAt, sinceMs],
  })
  if (tx === null && advances.length === 0 && jobs.every(isOrdinary)) {
    await add(db, jobs, unknown, again)
    return jobs.map(({ id }) => ({ id, status: 'created', token: null }))
  }
  if (tx !== null) return readAnswers(await tx(INSERT, [...values(), 'work']))
  const isMixed = ahead.size > 0 && advances.length === 0
  const answers = await db.apart.inserts.run('"held"', (isApart) => {
    if (isApart || !isMixed) {
      return db.repeatable(isApart ? INSERT_APART : INSERT, [...values(), null], unknown, again)
    }
    const others = jobs.filter(({ id }) => !ahead.has(id))
    const mixed = mixedValues(jobs, ahead, JSON.stringify(others.map(packJob)))
    return db.repeatable(INSERT_MIXED, mixed, unknown, again)
  })
  db.hints.give('work')
  if (advances.length > 0) db.hints.give('record')
  if (jobs.some(({ entry }) => entry?.kind === 'failed')) db.hints.give('finished')
  await recheck(db, jobs)
  return inPlace(jobs, ahead, readAnswers(answers))
}

/** The answers to all jobs, where those to ordinary ones may be left out. */
function inPlace(
  jobs: readonly NewJob[],
  ahead: ReadonlySet<string>,
  answers: readonly InsertAnswer[],
): readonly InsertAnswer[] {
  if (answers.length === jobs.length) return answers
  const others = answers.values()
  return jobs.map(({ id }) => {
    const answer = ahead.has(id) ? undefined : others.next().value
    return answer ?? { id, status: 'created', token: null }
  })
}

/** Fewer are inserted like the others. */
const leastAhead = 8

/**
 * The ordinary jobs of a call that may be inserted before the others: none where one is named twice,
 * nor those that a job before them needs, which does not know them.
 */
function goAhead(jobs: readonly NewJob[]): ReadonlySet<string> {
  const ahead = new Set<string>()
  const spokenOf = new Set<string>()
  for (const job of jobs) {
    if (isOrdinary(job) && !spokenOf.has(job.id)) ahead.add(job.id)
    for (const { id } of [...job.needs, ...(job.holds ?? [])]) if (!ahead.has(id)) spokenOf.add(id)
  }
  const isNamedTwice = new Set(jobs.map(({ id }) => id)).size < jobs.length
  return isNamedTwice || ahead.size < leastAhead ? new Set() : ahead
}

type Answer = [id: string, status: Inserted['status'], token: number | null]

function readAnswers(text: string): InsertAnswer[] {
  return (JSON.parse(text) as Answer[]).map(([id, status, token]) => ({ id, status, token }))
}

/** The pauses between looks at doubted jobs, in ms. */
const recheckPausesMs = [2, 5, 10, 20, 40, 80, 160] as const

/**
 * Weighs those of the jobs anew that came to wait for others while these were ending. What a transaction of a user holds is left
 * to the next beat of a worker, and so is all of it when the server is away: the jobs themselves are stored.
 */
export async function recheck(db: Database, jobs: readonly NewJob[]): Promise<void> {
  const ids = jobs.filter(({ needs }) => needs.length > 0).map(({ id }) => id)
  if (ids.length > 0) await recheckIds(db, ids)
}

/** Weighs those of these jobs anew that are in doubt. */
export function recheckIds(db: Database, ids: readonly string[]): Promise<void> {
  return weigh(db, RECHECK, ids)
}

/**
 * Weighs the jobs anew whose insert passed by the end of these. An end that takes long outlasts the looks of the insert, so it looks itself,
 * once it has been committed: whichever of the two ends last sees the other.
 */
export function recheckNeeding(db: Database, ended: readonly string[]): Promise<void> {
  return weigh(db, RECHECK_NEEDING, ended)
}

async function weigh(db: Database, sql: string, ids: readonly string[]): Promise<void> {
  const look = (): Promise<string> => db.value(sql, [uuids(ids)]).catch(() => 'true')
  let answer = await look()
  if (answer === 'none') return
  for (const pauseMs of recheckPausesMs) {
    if (answer === 'true' || answer === 'none') break
    await setTimeout(pauseMs * (0.5 + Math.random()))
    answer = await look()
  }
  // A job may just have become ready that the insert itself told nobody of.
  db.hints.give('work')
}

/** A job as the functions of the schema read it. */
export function packJob(job: NewJob): object {
  const { id, delayMs, runAt, startWithinMs, deadlineMs, unique, needs, entry, headStartMs } = job
  return {
    id,
    ...Object.fromEntries(givenColumns.map(({ name, of }) => [name, of(job)])),
    delayMs,
    runAt,
    startWithinMs,
    deadlineMs,
    unique: unique === null ? null : { ...unique, during: packStates(unique.during) },
    needs: needs.map((need) => ({ id: need.id, endsAs: endsAs(need), output: need.output })),
    holds: (job.holds ?? []).map((hold) => ({
      id: hold.id,
      endsAs: endsAs(hold),
      output: hold.output,
    })),
    entry,
    headStartMs,
  }
}

/** The state in which a job ends when a need of it has failed; null where it goes on. */
function endsAs({ onFailed }: Pick<Need, 'onFailed'>): StateCode | null {
  switch (onFailed) {
    case 'cancel':
      return CANCELLED
    case 'fail':
      return FAILED
    case 'run':
      return null
  }
}
