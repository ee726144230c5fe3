/**
 * PostgreSQL without a framework: one wide table with a JSON payload and two partial indexes, the same cycles as in baseline.md, so that
 * the peers' shares of it can be held against those of then.
 */
import pg from 'pg'
import { mail } from '../../kit/job.ts'
import { ticks } from '../../kit/ticks.ts'
import type { Figures } from '../../workload.ts'

const SCHEMA = `
  CREATE TABLE raw_jobs (
    id bigserial PRIMARY KEY, queue text NOT NULL DEFAULT 'default', task text NOT NULL DEFAULT 'mail', payload jsonb NOT NULL,
    priority int NOT NULL DEFAULT 0, state smallint NOT NULL DEFAULT 0, run_at timestamptz NOT NULL DEFAULT now(),
    attempts int NOT NULL DEFAULT 0, max_attempts int NOT NULL DEFAULT 10, locked_until timestamptz, worker text,
    created_at timestamptz NOT NULL DEFAULT now(), error text);
  CREATE INDEX raw_jobs_ready ON raw_jobs (queue, priority, run_at, id) WHERE state = 0;
  CREATE INDEX raw_jobs_leases ON raw_jobs (locked_until) WHERE state = 1`
const INSERT = 'INSERT INTO raw_jobs (payload) VALUES ($1)'
const INSERT_MANY = 'INSERT INTO raw_jobs (payload) SELECT * FROM jsonb_array_elements($1::jsonb)'
/** Walks `raw_jobs_ready`; locks the rows that it takes and passes by those that others hold. */
const CLAIM = `UPDATE raw_jobs SET state = 1, locked_until = now() + interval '30 s', worker = 'raw', attempts = attempts + 1
  WHERE id = ANY(ARRAY(SELECT id FROM raw_jobs WHERE queue = 'default' AND state = 0
    ORDER BY priority, run_at, id LIMIT $1 FOR UPDATE SKIP LOCKED)) RETURNING id, payload`
const FINISH = 'DELETE FROM raw_jobs WHERE id = ANY($1::bigint[])'
const claimed = 500
const inserted = 1_000

/** Jobs per second of claims of 500 and their deletion, on one connection. */
export async function drainRawPostgres(url: string, jobs: number): Promise<Figures> {
  return connected(url, async (client) => {
    await insertMany(client, jobs)
    await client.query('VACUUM ANALYZE raw_jobs')
    const since = ticks()
    let done = 0
    for (;;) {
      const { rows } = await client.query<{ id: string }>({
        name: 'claim',
        text: CLAIM,
        values: [claimed],
      })
      if (rows.length === 0) break
      await client.query({ name: 'finish', text: FINISH, values: [rows.map(({ id }) => id)] })
      done += rows.length
    }
    if (done !== jobs) throw new Error(`the raw engine drained ${done} jobs of ${jobs}`)
    return { rate: perSecond(jobs, since) }
  })
}

/** Jobs per second of single inserts, each committed, on one connection. */
export async function insertRawPostgres(url: string, jobs: number): Promise<Figures> {
  return connected(url, async (client) => {
    const since = ticks()
    for (let id = 0; id < jobs; id++)
      await client.query({ name: 'insert', text: INSERT, values: [JSON.stringify(mail(id))] })
    return { rate: perSecond(jobs, since) }
  })
}

/** Jobs per second of inserts of one JSON array of 1,000, on one connection. */
export async function insertManyRawPostgres(url: string, jobs: number): Promise<Figures> {
  return connected(url, async (client) => {
    const since = ticks()
    await insertMany(client, jobs)
    return { rate: perSecond(jobs, since) }
  })
}

async function insertMany(client: pg.Client, jobs: number): Promise<void> {
  for (let start = 0; start < jobs; start += inserted) {
    const mails = Array.from({ length: inserted }, (_, i) => mail(start + i))
    const values = [JSON.stringify(mails)]
    await client.query({ name: 'insert-many', text: INSERT_MANY, values })
  }
}

async function connected(
  url: string,
  measure: (client: pg.Client) => Promise<Figures>,
): Promise<Figures> {
  const client = new pg.Client(url)
  await client.connect()
  try {
    await client.query(SCHEMA)
    return await measure(client)
  } finally {
    await client.end()
  }
}

function perSecond(jobs: number, since: number): number {
  return (jobs / (ticks() - since)) * 1_000
}
