/**
 * The engine without a framework: one table with a state column and a partial index of what is ready, history in a table of its
 * own. It keeps what Errand keeps: leases with tokens, inputs and results of finished jobs.
 */
import { join } from 'node:path'
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import { v7 as uuidv7 } from 'uuid'
import { mail, type Mail } from '../kit/job.ts'
import type { Setting } from '../workload.ts'

/** How jobs are found: by their id as well, as Errand's are, or by their number alone, which is the least an engine can do. */
export type FoundBy = 'id' | 'number'

/** Ids of jobs, made beforehand: the engine alone needs none. */
export function makeIds(jobs: number): readonly string[] {
  return Array.from({ length: jobs }, () => uuidv7())
}

const READY = 0
const RUNNING = 1
const COMPLETED = 2
const leaseMs = 30_000

const columns = `task TEXT NOT NULL, queue TEXT NOT NULL, state INTEGER NOT NULL, priority INTEGER NOT NULL,
  due_at INTEGER NOT NULL, created_at INTEGER NOT NULL, attempts INTEGER NOT NULL, token INTEGER, worker TEXT, input TEXT NOT NULL`

const schema = (id: string): string => `
  CREATE TABLE jobs (seq INTEGER PRIMARY KEY, id ${id}, ${columns}, lease_until INTEGER);
  CREATE INDEX jobs_ready ON jobs (queue, priority, due_at) WHERE state = ${READY};
  CREATE INDEX jobs_leases ON jobs (lease_until) WHERE state = ${RUNNING};
  CREATE TABLE history (seq INTEGER PRIMARY KEY, id ${id}, ${columns}, finished_at INTEGER NOT NULL, output TEXT);
  CREATE INDEX history_age ON history (finished_at);`

const INSERT = `INSERT INTO jobs (id, task, queue, state, priority, due_at, created_at, attempts, input)
  VALUES (?, 'mail', 'default', ${READY}, 0, ?, ?, 0, ?)`
const CLAIM = `UPDATE jobs SET state = ${RUNNING}, attempts = attempts + 1, token = ?, worker = ?, lease_until = ?
  WHERE seq IN (SELECT seq FROM jobs WHERE queue = 'default' AND state = ${READY} ORDER BY priority, due_at LIMIT ?)
  RETURNING seq, input, id, task, queue, priority, due_at, created_at, attempts, token, worker`
const KEEP = `INSERT INTO history (seq, input, id, task, queue, priority, due_at, created_at, attempts, token, worker,
  state, finished_at, output) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ${COMPLETED}, ?, ?)`
const DROP = `DELETE FROM jobs WHERE seq = ?`
const COUNT = `SELECT count(*), sum(json_extract(output, '$.ok') = json_extract(input, '$.id')) FROM history`

type Claimed = [seq: number, input: string, ...rest: (string | number)[]]

export class RawEngine {
  readonly #db: DatabaseSync
  readonly #insert: StatementSync
  readonly #claim: StatementSync
  readonly #keep: StatementSync
  readonly #drop: StatementSync
  readonly #worker = uuidv7()
  #token = 0

  constructor({ folder, durability }: Setting, foundBy: FoundBy) {
    const db = new DatabaseSync(join(folder, 'raw.db'))
    const synchronous = durability === 'power' ? 'FULL' : 'NORMAL'
    db.exec(
      `PRAGMA journal_mode = WAL; PRAGMA synchronous = ${synchronous}; PRAGMA cache_size = -32768`,
    )
    db.exec(schema(foundBy === 'id' ? 'TEXT NOT NULL UNIQUE' : 'TEXT NOT NULL'))
    this.#db = db
    this.#insert = db.prepare(INSERT)
    this.#claim = db.prepare(CLAIM)
    this.#claim.setReturnArrays(true)
    this.#keep = db.prepare(KEEP)
    this.#drop = db.prepare(DROP)
  }

  /** Adds jobs with these ids, so many in a transaction. */
  insert(ids: readonly string[], batch: number): void {
    for (let start = 0; start < ids.length; start += batch) {
      const now = Date.now()
      this.#transact(() => {
        for (const [i, id] of ids.slice(start, start + batch).entries())
          this.#insert.run(id, now, now, JSON.stringify(mail(start + i)))
      })
    }
  }

  /** Claims jobs and finishes them, so many at a time, until none is left; a transaction each. */
  drain(batch: number): void {
    for (;;) {
      const leased = this.#transact(() =>
        this.#claim.all(++this.#token, this.#worker, Date.now() + leaseMs, batch),
      ) as unknown as Claimed[]
      if (leased.length === 0) return
      const outputs = leased.map(([, input]) =>
        JSON.stringify({ ok: (JSON.parse(input) as Mail).id }),
      )
      const now = Date.now()
      this.#transact(() => {
        for (const [i, job] of leased.entries()) {
          this.#keep.run(...job, now, outputs[i] ?? null)
          this.#drop.run(job[0])
        }
      })
    }
  }

  /** Throws unless so many jobs are finished, each with its own result. */
  check(jobs: number): void {
    const count = this.#db.prepare(COUNT)
    count.setReturnArrays(true)
    const [all, right] = count.get() as unknown as [number, number]
    if (all !== jobs || right !== jobs)
      throw new Error(`${jobs} jobs: ${all} finished, ${right} with their results`)
  }

  close(): void {
    this.#db.close()
  }

  #transact<T>(work: () => T): T {
    this.#db.exec('BEGIN IMMEDIATE')
    const answer = work()
    this.#db.exec('COMMIT')
    return answer
  }
}
