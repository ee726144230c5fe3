/**
 * The tables of the first schema, and why they lie so.
 *
 * Chosen by measurement (claim and settle of 500 jobs with history, CPU of the server per job): jobs whose body moves from table
 * to table, 9.8 µs and 890 bytes of WAL; this layout, 5.5 µs and 190 bytes. A body is written once, into `jobs`, and is not touched
 * by claim and finish. What moves is narrow, and moves in runs: jobs of one insert that stand behind each other are one row of
 * `ready` (first…last), a claim is one row of `leases` that holds its jobs as a set of ranges, and a settlement takes a part
 * out of that set. A run is taken from its front by moving `first`, which no index knows, so that the update stays on its page;
 * and what a claim leaves dead is a row per run, not per job, so that a transaction held open elsewhere costs little.
 *
 * Jobs that were completed together, under one lease, are one row of history, `batches`, which is never changed: which of them are still
 * kept is what `jobs` says. With it, claiming and settling a job writes 14 bytes of WAL, and 200,000 of them leave 3,000 dead rows.
 *
 * A job's state is the table that names it: `ready` or `suspects`, `scheduled`, `needs` (blocked), `leases` or `running`, `finished` or
 * `batches`.
 * What needs care of its own (a start that was written, a renewal of a part, notes, completion in a user's transaction) is first
 * taken out of the shared lease into `running`. History lies in a ring of partitions by the day on which it expires: one whose day
 * is over is emptied at once.
 *
 * Who changes one job locks its row in `jobs` first, then the row of the table that names it, and looks again if it is not there
 * any more. Claim, promotion and plain finishes lock only the latter; a plain finish of jobs that others need then locks the rows of
 * these in `jobs`, in the order of their numbers, and leaves to the others' way what it does not get soon.
 */

/** How many days the ring of history spans before it comes round. */
export const ringDays = 16

const partitions = Array.from(
  { length: ringDays },
  (_, day) =>
    `CREATE TABLE errand.finished_${day} PARTITION OF errand.finished FOR VALUES IN (${day});`,
).join('\n')

/** Rows that come and go: vacuumed early, for little each time. */
const restless = `autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0`

export const tables: string = `
CREATE SEQUENCE errand.seqs;
-- Unlogged, so that a token waits for no disk and a crash or a promotion sets it back: see new_token.
CREATE UNLOGGED SEQUENCE errand.tokens;

CREATE TABLE errand.jobs (
  seq int8 PRIMARY KEY,
  id uuid NOT NULL UNIQUE,
  created_at int8 NOT NULL,
  due_at int8 NOT NULL,
  place int8 NOT NULL,
  keep_cancelled_ms int8,
  start_by int8,
  deadline_at int8,
  start_within_ms int8,
  deadline_ms int8,
  unique_until int8,
  head_start_ms int8,
  token int8 NOT NULL DEFAULT 0,
  parent uuid,
  group_id text COLLATE "C",
  labels text,
  priority int2 NOT NULL,
  unique_during int2,
  suspect bool NOT NULL DEFAULT false,
  task text NOT NULL,
  queue text COLLATE "C" NOT NULL,
  unique_key text COLLATE "C",
  worker text,
  counters text,
  codec text,
  options text,
  wants text,
  attempts text[],
  input text NOT NULL
);
CREATE INDEX jobs_parent ON errand.jobs (parent) WHERE parent IS NOT NULL;
CREATE INDEX jobs_group ON errand.jobs (group_id, seq) WHERE group_id IS NOT NULL;
CREATE INDEX jobs_key ON errand.jobs (unique_key) WHERE unique_key IS NOT NULL;

CREATE TABLE errand.ready (
  place int8 NOT NULL,
  first int8 NOT NULL,
  last int8 NOT NULL,
  priority int2 NOT NULL,
  special bool NOT NULL,
  queue text COLLATE "C" NOT NULL
) WITH (fillfactor = 70, ${restless});
CREATE INDEX ready_line ON errand.ready (queue, priority, place, last);

CREATE TABLE errand.suspects (
  place int8 NOT NULL,
  seq int8 NOT NULL,
  losses int4 NOT NULL,
  priority int2 NOT NULL,
  queue text COLLATE "C" NOT NULL,
  PRIMARY KEY (queue, priority, place, seq)
);

CREATE TABLE errand.scheduled (due_at int8 NOT NULL, seq int8 NOT NULL, PRIMARY KEY (due_at, seq)) WITH (${restless});

CREATE TABLE errand.bounds (at int8 NOT NULL, seq int8 NOT NULL, task text NOT NULL, PRIMARY KEY (at, seq)) WITH (${restless});

-- The state in which a waiting job ends when its need has failed; null where it goes on.
CREATE TABLE errand.needs (need uuid NOT NULL, seq int8 NOT NULL, ends_as int2, PRIMARY KEY (need, seq));
CREATE INDEX needs_seq ON errand.needs (seq);
CREATE TABLE errand.doubts (seq int8 PRIMARY KEY);

-- How needed jobs ended, once for each group of those that want to know.
CREATE TABLE errand.outputs (
  group_id text COLLATE "C" NOT NULL,
  id uuid NOT NULL,
  state int2 NOT NULL,
  codec text,
  output text,
  PRIMARY KEY (group_id, id)
);

CREATE TABLE errand.leases (
  token int8 PRIMARY KEY,
  until int8 NOT NULL,
  worker text NOT NULL,
  held int8multirange NOT NULL
) WITH (fillfactor = 50, ${restless});
ALTER TABLE errand.leases ALTER held SET STORAGE MAIN;

CREATE TABLE errand.running (
  seq int8 PRIMARY KEY,
  token int8 NOT NULL,
  lease_until int8 NOT NULL,
  started_at int8,
  overdue bool NOT NULL DEFAULT false,
  born bool NOT NULL DEFAULT false,
  worker text NOT NULL
) WITH (fillfactor = 70, ${restless});
CREATE TABLE errand.cancels (seq int8 PRIMARY KEY, reason text);
-- Claims that their caller may repeat, with the token of what they were given.
CREATE TABLE errand.claims (id text COLLATE "C" PRIMARY KEY, token int8 NOT NULL, until int8 NOT NULL) WITH (${restless});

CREATE TABLE errand.finished (
  seq int8 NOT NULL,
  finished_at int8 NOT NULL,
  keep_ms int8,
  token int8 NOT NULL,
  started_at int8,
  bucket int2 NOT NULL,
  state int2 NOT NULL,
  worker text,
  counters text,
  reason text,
  output text
) PARTITION BY LIST (bucket);
${partitions}
CREATE TABLE errand.finished_for_ever PARTITION OF errand.finished FOR VALUES IN (-1);
CREATE INDEX finished_seq ON errand.finished (seq);
CREATE INDEX finished_age ON errand.finished (keep_ms, finished_at);
CREATE INDEX finished_state ON errand.finished (state, seq) WHERE state > 4;

CREATE TABLE errand.batches (
  finished_at int8 NOT NULL,
  keep_ms int8,
  token int8 NOT NULL,
  worker text NOT NULL,
  counters text NOT NULL,
  seqs int8multirange NOT NULL,
  agos int4[],
  outputs text[]
);
CREATE INDEX batches_seqs ON errand.batches USING gist (seqs);
CREATE INDEX batches_age ON errand.batches (keep_ms, finished_at);

CREATE TABLE errand.uniques (
  key text COLLATE "C" PRIMARY KEY,
  until int8 NOT NULL,
  id uuid NOT NULL,
  held bool NOT NULL
) WITH (fillfactor = 80, ${restless});
CREATE INDEX uniques_until ON errand.uniques (until) WHERE NOT held;

CREATE TABLE errand.progress (seq int8 PRIMARY KEY, value text NOT NULL) WITH (fillfactor = 70);
CREATE TABLE errand.log (
  seq int8 NOT NULL,
  line int4 NOT NULL,
  at int8 NOT NULL,
  level text NOT NULL,
  text text NOT NULL,
  PRIMARY KEY (seq, line)
);

-- Durable records of runs, for later attempts of the same job.
CREATE TABLE errand.recorded (
  seq int8 NOT NULL,
  name text COLLATE "C" NOT NULL,
  text text NOT NULL,
  PRIMARY KEY (seq, name)
);

-- When jobs were removed for good, a row for each call that did: see insert_again.
CREATE TABLE errand.erasures (at int8 NOT NULL) WITH (${restless});
-- The ids of inserts that were sent again: what they repeat may still be on its way.
CREATE TABLE errand.repeats (id uuid PRIMARY KEY, at int8 NOT NULL);
CREATE INDEX repeats_at ON errand.repeats (at);
-- Processes that wait for ends of jobs.
CREATE TABLE errand.end_waits (process text COLLATE "C" PRIMARY KEY, until timestamptz NOT NULL)
  WITH (fillfactor = 50);
CREATE TABLE errand.tally (count int8 NOT NULL, state int2 NOT NULL, queue text COLLATE "C" NOT NULL) WITH (${restless});
CREATE TABLE errand.paused (queue text COLLATE "C" PRIMARY KEY);
CREATE TABLE errand.workers (id text PRIMARY KEY, last_seen_at int8 NOT NULL, record text NOT NULL) WITH (fillfactor = 50);
CREATE TABLE errand.tasks (name text COLLATE "C" PRIMARY KEY, record text NOT NULL);
CREATE TABLE errand.locks (
  name text COLLATE "C" PRIMARY KEY,
  token int8 NOT NULL,
  holder text NOT NULL,
  until int8 NOT NULL,
  host text NOT NULL,
  pid int4 NOT NULL,
  since int8 NOT NULL
) WITH (fillfactor = 50);
CREATE TABLE errand.records (key text COLLATE "C" PRIMARY KEY, text text NOT NULL) WITH (fillfactor = 50);
`
