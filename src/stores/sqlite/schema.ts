/**
 * The tables, as numbered migrations.
 *
 * Every name starts with `errand_`: the file may be the user's own. A job's state is the table that names it: `errand_ready` or
 * `errand_suspects`, `errand_scheduled`, `errand_needs` (blocked), `errand_running`, `errand_finished`. `errand_jobs` holds what
 * was inserted and is not written by claim and finish; the others are narrow, so that a claim and a finish touch few pages.
 */
import { ErrandError } from '../../core/errors.ts'
import type { Connection } from './connection.ts'
import { jobsTable } from './job-columns.ts'

/** The newest schema that this code knows. */
export const schemaVersion = 1

const migrations: readonly string[] = [
  `${jobsTable}

   CREATE TABLE errand_ready (
     queue TEXT NOT NULL,
     priority INTEGER NOT NULL,
     place INTEGER NOT NULL,
     seq INTEGER NOT NULL,
     PRIMARY KEY (queue, priority, place, seq)
   ) WITHOUT ROWID;

   CREATE TABLE errand_suspects (
     queue TEXT NOT NULL,
     priority INTEGER NOT NULL,
     place INTEGER NOT NULL,
     seq INTEGER NOT NULL,
     losses INTEGER NOT NULL,
     PRIMARY KEY (queue, priority, place, seq)
   ) WITHOUT ROWID;

   CREATE TABLE errand_scheduled (
     due_at INTEGER NOT NULL,
     seq INTEGER NOT NULL,
     PRIMARY KEY (due_at, seq)
   ) WITHOUT ROWID;

   CREATE TABLE errand_overdue (
     at INTEGER NOT NULL,
     seq INTEGER NOT NULL,
     task TEXT NOT NULL,
     PRIMARY KEY (at, seq)
   ) WITHOUT ROWID;

   CREATE TABLE errand_needs (
     need TEXT NOT NULL,
     seq INTEGER NOT NULL,
     on_failed INTEGER NOT NULL,
     PRIMARY KEY (need, seq)
   ) WITHOUT ROWID;
   CREATE INDEX errand_needs_seq ON errand_needs (seq);

   CREATE TABLE errand_wants (
     seq INTEGER NOT NULL,
     need TEXT NOT NULL,
     on_failed INTEGER NOT NULL,
     handed INTEGER NOT NULL,
     PRIMARY KEY (seq, need)
   ) WITHOUT ROWID;
   CREATE TABLE errand_outputs (
     group_id TEXT NOT NULL,
     id TEXT NOT NULL,
     state INTEGER NOT NULL,
     codec TEXT,
     output TEXT,
     UNIQUE (group_id, id)
   );

   CREATE TABLE errand_running (
     seq INTEGER PRIMARY KEY,
     token INTEGER NOT NULL,
     worker TEXT NOT NULL,
     lease_until INTEGER NOT NULL,
     started_at INTEGER,
     overdue INTEGER NOT NULL DEFAULT 0,
     born INTEGER NOT NULL DEFAULT 0,
     cancel_asked INTEGER NOT NULL DEFAULT 0,
     cancel_reason TEXT
   );

   CREATE TABLE errand_finished (
     seq INTEGER PRIMARY KEY,
     state INTEGER NOT NULL,
     finished_at INTEGER NOT NULL,
     keep_ms INTEGER,
     token INTEGER NOT NULL,
     worker TEXT,
     started_at INTEGER,
     counters NUMERIC,
     reason TEXT,
     output TEXT
   );
   CREATE INDEX errand_finished_age ON errand_finished (keep_ms, finished_at);
   CREATE INDEX errand_finished_state ON errand_finished (state) WHERE state > 4;

   CREATE TABLE errand_uniques (
     key TEXT PRIMARY KEY,
     id TEXT NOT NULL,
     held INTEGER NOT NULL,
     until INTEGER
   ) WITHOUT ROWID;
   CREATE INDEX errand_uniques_until ON errand_uniques (until) WHERE held = 0;

   CREATE TABLE errand_progress (seq INTEGER PRIMARY KEY, value TEXT NOT NULL);
   CREATE TABLE errand_log (
     seq INTEGER NOT NULL,
     line INTEGER NOT NULL,
     at INTEGER NOT NULL,
     level TEXT NOT NULL,
     text TEXT NOT NULL,
     PRIMARY KEY (seq, line)
   ) WITHOUT ROWID;
   CREATE TABLE errand_recorded (
     seq INTEGER NOT NULL,
     name TEXT NOT NULL,
     text TEXT NOT NULL,
     PRIMARY KEY (seq, name)
   ) WITHOUT ROWID;

   CREATE TABLE errand_tally (
     queue TEXT NOT NULL,
     state INTEGER NOT NULL,
     count INTEGER NOT NULL,
     PRIMARY KEY (queue, state)
   ) WITHOUT ROWID;
   CREATE TABLE errand_paused (queue TEXT PRIMARY KEY) WITHOUT ROWID;
   CREATE TABLE errand_claims (id TEXT PRIMARY KEY, token INTEGER NOT NULL, until INTEGER NOT NULL) WITHOUT ROWID;
   CREATE TABLE errand_workers (id TEXT PRIMARY KEY, last_seen_at INTEGER NOT NULL, record TEXT NOT NULL) WITHOUT ROWID;
   CREATE TABLE errand_tasks (name TEXT PRIMARY KEY, record TEXT NOT NULL) WITHOUT ROWID;
   CREATE TABLE errand_locks (
     name TEXT PRIMARY KEY,
     token INTEGER NOT NULL,
     holder TEXT NOT NULL,
     until INTEGER NOT NULL,
     host TEXT NOT NULL,
     pid INTEGER NOT NULL,
     since INTEGER NOT NULL
   ) WITHOUT ROWID;
   CREATE TABLE errand_records (key TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID;
   INSERT INTO errand_meta (name, value) VALUES ('token', 0), ('cancels', 0), ('pauses', 0), ('locks', 0), ('records', 0);`,
]

const META_EXISTS = `SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'errand_meta'`
const READ_VERSION = `SELECT value FROM errand_meta WHERE name = 'schema'`
const CREATE_META = `CREATE TABLE errand_meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID`
const WRITE_VERSION = `INSERT OR REPLACE INTO errand_meta (name, value) VALUES ('schema', ?)`

/** Answers the version of the schema in the file: 0 for none. Throws `store-too-new` for one that is newer than this code. */
export function readVersion(connection: Connection, file: string): number {
  const exists = connection.once(META_EXISTS)[0]?.[0] === 1
  const version = exists ? Number(connection.once(READ_VERSION)[0]?.[0] ?? 0) : 0
  if (version > schemaVersion) {
    throw new ErrandError(
      'store-too-new',
      `${file} was written by a newer Errand (schema ${version}, this one knows ${schemaVersion}): upgrade errand in this program`,
      { details: { file, found: version, known: schemaVersion } },
    )
  }
  return version
}

/** Brings the schema up to date, inside a transaction of the caller that holds the write lock. Tells whether there was need. */
export function migrate(connection: Connection, file: string): boolean {
  const version = readVersion(connection, file)
  if (version === schemaVersion) return false
  if (version === 0) connection.exec(CREATE_META)
  for (const migration of migrations.slice(version)) connection.exec(migration)
  connection.run(WRITE_VERSION, schemaVersion)
  return true
}
