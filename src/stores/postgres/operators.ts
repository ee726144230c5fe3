/** What people do to jobs: cancel, retry, remove, take. */
import { handedBytes, isFinal } from '../../core/job.ts'
import type { CancelAnswer, RemoveAnswer, RetryAnswer } from '../../store/operators.ts'
import type { StoredJob } from '../../store/job.ts'
import type { Database } from './database.ts'
import { recheckIds, recheckNeeding } from './insert.ts'
import { uuids } from './arrays.ts'
import { readStored, seqOf, storedColumns, type Row } from './rows.ts'
import { patiently } from './held.ts'
import { patienceMs, planned } from './plan-settings.ts'

/**
 * Each locks its jobs, then the rows of the tables that hold them, and writes table by table. Answers are digits: the places of the
 * answers in the lists below. A call whose jobs a transaction of a user holds waits for a moment, and gives up what it has locked itself; it
 * is sent again for as long as it is worth waiting.
 *
 * `cancel` takes the jobs that wait and that no other needs out of their lines together. The others come one after the other, in `cancel_one`: it
 * waits for a lease that is just being settled, so that both know who came first, but not for one that somebody's transaction
 * holds: that one is asked.
 *
 * `remove` takes its jobs out of their lines together, and one by one what `take_out_all` leaves; it erases them, and only then settles
 * the needs of others.
 *
 * `take` without `p_waits` takes what nobody holds, until the answer is large. What it leaves comes as a row that has nothing but an id.
 *
 * Of several jobs, `in_order` locks the rows before, in the order of their numbers, so that no two calls wait for each other. A
 * `cancel` does so for those that wait, after the leases of the others; and one `cancel` of several goes after the other, since what
 * it writes for a running job is no row that could be locked before.
 */
export const operatorFunctions: string = `
CREATE FUNCTION errand.in_order(p_ids uuid[]) RETURNS int8[] LANGUAGE plpgsql AS $$
DECLARE
  v_seqs int8[];
BEGIN
  WITH held AS MATERIALIZED (
    SELECT seq FROM errand.jobs WHERE seq = ANY (ARRAY(SELECT j.seq FROM unnest(p_ids) u (id) JOIN errand.jobs j ON j.id = u.id))
    ORDER BY seq FOR UPDATE)
  SELECT coalesce(array_agg(seq), '{}') INTO v_seqs FROM held;
  RETURN v_seqs;
END $$;

CREATE FUNCTION errand.cancel_in_order(p_ids uuid[]) RETURNS int8[] LANGUAGE plpgsql AS $$
DECLARE
  v_token int8;
BEGIN
  IF cardinality(p_ids) < 2 THEN RETURN '{}'; END IF;
  PERFORM pg_advisory_xact_lock(('errand.cancels'::regclass::oid::int8 % 2147483647)::int, 1);
  FOR v_token IN
    SELECT DISTINCT l.token FROM unnest(p_ids) u (id) JOIN errand.jobs j ON j.id = u.id JOIN errand.leases l ON l.held @> j.seq ORDER BY 1
  LOOP
    PERFORM 1 FROM errand.leases WHERE token = v_token FOR UPDATE;
  END LOOP;
  RETURN errand.in_order(ARRAY(
    SELECT u.id FROM unnest(p_ids) u (id) JOIN errand.jobs j ON j.id = u.id
    WHERE NOT EXISTS (SELECT 1 FROM errand.running r WHERE r.seq = j.seq) AND NOT EXISTS (SELECT 1 FROM errand.leases l WHERE l.held @> j.seq)));
END $$;

CREATE FUNCTION errand.cancel(p_ids uuid[], p_reason text) RETURNS text LANGUAGE plpgsql ${planned} AS $$
DECLARE
  v_now int8 := errand.now_ms();
  v_waits_until timestamptz;
  v_waiting int8[];
  v_seqs int8[];
  v_out errand.taken_out;
  v_cancelled int8multirange := '{}';
  v_answers text := '';
BEGIN
  PERFORM set_config('lock_timeout', errand.call_patience(), true);
  v_waiting := errand.cancel_in_order(p_ids);
  v_seqs := ARRAY(SELECT j.seq FROM unnest(p_ids) WITH ORDINALITY u (id, o) LEFT JOIN errand.jobs j ON j.id = u.id ORDER BY u.o);
  v_waits_until := clock_timestamp() + interval '${patienceMs} ms';
  IF v_waiting <> '{}' THEN
    -- One that others need is cancelled in its turn, for these are cancelled with it, and may be among those of the call.
    v_out := errand.take_out_all(ARRAY(
      SELECT seq FROM errand.jobs j WHERE seq = ANY (v_waiting) AND NOT EXISTS (SELECT 1 FROM errand.needs n WHERE n.need = j.id)));
    PERFORM errand.cancel_all_waiting(v_out, p_reason, v_now);
    SELECT coalesce(range_agg(int8range(seq, seq + 1)), '{}') INTO v_cancelled FROM unnest(v_out.seqs) seq;
  END IF;
  IF cardinality(v_out.seqs) = cardinality(p_ids) THEN RETURN repeat('0', cardinality(p_ids)); END IF;
  FOR place IN 1..cardinality(p_ids) LOOP
    IF v_cancelled @> v_seqs[place] THEN
      v_answers := v_answers || '0';
      v_cancelled := v_cancelled - int8multirange(int8range(v_seqs[place], v_seqs[place] + 1));
    ELSE
      v_answers := v_answers || errand.cancel_one(p_ids[place], p_reason, v_now, v_waits_until);
    END IF;
  END LOOP;
  RETURN v_answers;
END $$;

CREATE FUNCTION errand.cancel_one(p_id uuid, p_reason text, p_now int8, p_waits_until timestamptz) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  v_job errand.jobs;
  v_lease errand.leases;
  v_state int;
  v_running bool;
  v_held bool;
  v_new bool;
BEGIN
  FOR attempt IN 1..100 LOOP
    SELECT * INTO v_job FROM errand.jobs WHERE id = p_id;
    IF NOT FOUND THEN RETURN '3'; END IF;
    SELECT * INTO v_lease FROM errand.leases WHERE held @> v_job.seq FOR UPDATE;
    v_running := FOUND AND v_lease.held @> v_job.seq;
    IF NOT v_running AND EXISTS (SELECT 1 FROM errand.running WHERE seq = v_job.seq) THEN
      v_held := errand.is_held(v_job.seq, errand.ms_until(p_waits_until));
      -- Whoever holds the job may be removing the row of an earlier cancel.
      IF v_held AND EXISTS (SELECT 1 FROM errand.cancels WHERE seq = v_job.seq) THEN RETURN '1'; END IF;
      v_running := v_held OR EXISTS (SELECT 1 FROM errand.running WHERE seq = v_job.seq);
    END IF;
    IF v_running THEN
      INSERT INTO errand.cancels (seq, reason) VALUES (v_job.seq, p_reason) ON CONFLICT DO NOTHING;
      v_new := FOUND;
      -- The row of an earlier cancel may have been waited for until the job was settled.
      IF errand.is_leased(v_job.seq) THEN RETURN CASE WHEN v_new THEN '4' ELSE '1' END; END IF;
      DELETE FROM errand.cancels WHERE seq = v_job.seq;
      CONTINUE;
    END IF;
    SELECT * INTO v_job FROM errand.jobs WHERE id = p_id FOR UPDATE;
    CONTINUE WHEN NOT FOUND;
    v_state := errand.take_out(v_job);
    IF v_state > 3 THEN RETURN '2'; END IF;
    CONTINUE WHEN v_state = 3;
    PERFORM errand.end_waiting(v_job, v_state, 6, p_reason, p_now);
    PERFORM errand.release(v_job, 6, v_job.keep_cancelled_ms, p_now);
    RETURN '0';
  END LOOP;
  RAISE serialization_failure USING MESSAGE = 'job ' || p_id || ' keeps moving';
END $$;

CREATE FUNCTION errand.retry(p_ids uuid[]) RETURNS text LANGUAGE plpgsql ${planned} AS $$
DECLARE
  v_now int8 := errand.now_ms();
  v_all int8[];
  v_filed errand.taken_out;
  v_bucket int2;
  v_fit int8multirange;
  v_refused int8multirange := '{}';
  v_job errand.jobs;
  v_seqs int8[];
  v_waiting int8[];
  v_answers text;
BEGIN
  PERFORM set_config('lock_timeout', errand.call_patience(), true);
  v_all := errand.in_order(p_ids);
  v_filed := errand.filed_of(v_all);
  SELECT coalesce(range_agg(int8range(seq, seq + 1)), '{}') INTO v_fit FROM unnest(v_filed.seqs, v_filed.states) f (seq, state) WHERE state > 4;
  FOR v_job IN
    SELECT j.* FROM unnest(p_ids) WITH ORDINALITY u (id, o) JOIN errand.jobs j ON j.id = u.id
    WHERE v_fit @> j.seq AND j.unique_key IS NOT NULL ORDER BY u.o
  LOOP
    CONTINUE WHEN errand.rekey(v_job.unique_key, v_job.id, v_job.unique_during, v_job.unique_until, 2, v_now)
      OR NOT errand.lists(v_job.unique_during, 2);
    v_refused := v_refused + int8multirange(int8range(v_job.seq, v_job.seq + 1));
  END LOOP;
  v_fit := v_fit - v_refused;
  SELECT string_agg(CASE WHEN j.seq IS NULL THEN '3' WHEN v_refused @> j.seq THEN '1' WHEN v_fit @> j.seq AND turn = 1 THEN '0' ELSE '2' END, '' ORDER BY o)
  INTO v_answers FROM (SELECT id, o, row_number() OVER (PARTITION BY id ORDER BY o) AS turn FROM unnest(p_ids) WITH ORDINALITY u (id, o)) u
  -- One that came after the first look is not known to this call.
  LEFT JOIN errand.jobs j ON j.id = u.id AND j.seq = ANY (v_all);
  IF isempty(v_fit) THEN RETURN v_answers; END IF;
  v_seqs := ARRAY(SELECT generate_series(lower(r), upper(r) - 1) FROM unnest(v_fit) r);
  DELETE FROM errand.progress WHERE seq = ANY (v_seqs);
  -- A cancel was asked for while a transaction of the user that ended the job was open.
  DELETE FROM errand.cancels WHERE seq = ANY (v_seqs);
  FOREACH v_bucket IN ARRAY errand.buckets_of(v_seqs) LOOP
    WITH old AS (DELETE FROM errand.finished WHERE bucket = v_bucket AND seq = ANY (v_seqs) RETURNING seq, state, token, worker),
    retried AS (
      UPDATE errand.jobs j SET due_at = v_now, place = v_now - coalesce(head_start_ms, 0), start_by = v_now + errand.span(start_within_ms),
        deadline_at = v_now + errand.span(deadline_ms), counters = NULL, suspect = false, token = old.token, worker = old.worker
      FROM old WHERE j.seq = old.seq RETURNING j.queue, old.state)
    INSERT INTO errand.tally (queue, state, count)
    SELECT queue, t.state, sum(count) FROM retried r CROSS JOIN LATERAL (VALUES (r.state, -1), (2::int2, 1)) t (state, count) GROUP BY 1, 2;
  END LOOP;
  v_waiting := errand.wait_again(v_seqs);
  INSERT INTO errand.tally (queue, state, count)
  SELECT queue, t.state, t.change * count(*) FROM errand.jobs CROSS JOIN (VALUES (2::int2, -1), (0::int2, 1)) t (state, change)
  WHERE seq = ANY (v_waiting) GROUP BY 1, 2, t.change;
  PERFORM errand.rekey(unique_key, id, unique_during, unique_until, 0, v_now)
  FROM errand.jobs WHERE seq = ANY (v_waiting) AND unique_key IS NOT NULL;
  PERFORM errand.line_up_all(ARRAY(SELECT s FROM unnest(v_seqs) s WHERE s <> ALL (v_waiting)));
  PERFORM errand.bind_all(v_seqs);
  RETURN v_answers;
END $$;

CREATE FUNCTION errand.remove(p_ids uuid[]) RETURNS text LANGUAGE plpgsql ${planned} AS $$
DECLARE
  v_now int8 := errand.now_ms();
  v_all int8[];
  v_out errand.taken_out;
  v_ended errand.taken_out;
  v_state int;
  v_job errand.jobs;
  v_taken int8multirange;
  v_needed errand.jobs[];
  v_answers text;
BEGIN
  PERFORM set_config('lock_timeout', errand.call_patience(), true);
  v_all := errand.in_order(p_ids);
  v_out := errand.take_out_all(v_all);
  SELECT coalesce(range_agg(int8range(seq, seq + 1)), '{}') INTO v_taken FROM unnest(v_out.seqs) seq;
  v_ended := errand.ended_of(ARRAY(SELECT seq FROM unnest(v_all) seq WHERE NOT v_taken @> seq));
  v_out.seqs := v_out.seqs || v_ended.seqs;
  v_out.states := v_out.states || v_ended.states;
  SELECT coalesce(range_agg(int8range(seq, seq + 1)), '{}') INTO v_taken FROM unnest(v_out.seqs) seq;
  FOR v_job IN SELECT * FROM errand.jobs WHERE seq = ANY (v_all) AND NOT v_taken @> seq ORDER BY seq LOOP
    v_state := errand.take_out(v_job);
    CONTINUE WHEN v_state = 3;
    v_out.seqs := v_out.seqs || v_job.seq;
    v_out.states := v_out.states || v_state::int2;
    v_taken := v_taken + int8multirange(int8range(v_job.seq, v_job.seq + 1));
  END LOOP;
  SELECT string_agg(CASE WHEN j.seq IS NULL OR (v_taken @> j.seq AND turn > 1) THEN '2' WHEN v_taken @> j.seq THEN '0' ELSE '1' END, '' ORDER BY o)
  INTO v_answers FROM (SELECT id, o, row_number() OVER (PARTITION BY id ORDER BY o) AS turn FROM unnest(p_ids) WITH ORDINALITY u (id, o)) u
  -- One that came after the first look is not known to this call.
  LEFT JOIN errand.jobs j ON j.id = u.id AND j.seq = ANY (v_all);
  IF isempty(v_taken) THEN RETURN v_answers; END IF;
  PERFORM errand.unbind_all(v_out.seqs);
  FOR v_job IN SELECT * FROM errand.jobs WHERE seq = ANY (v_out.seqs) AND unique_key IS NOT NULL ORDER BY unique_key LOOP
    PERFORM errand.drop_key(v_job.unique_key, v_job.id, false, v_now);
  END LOOP;
  PERFORM errand.tallied_out(v_out);
  v_needed := ARRAY(SELECT j FROM errand.jobs j WHERE seq = ANY (v_out.seqs) AND EXISTS (SELECT 1 FROM errand.needs WHERE need = j.id) ORDER BY seq);
  PERFORM errand.erase_all_of(v_out);
  PERFORM errand.erased(v_now);
  FOREACH v_job IN ARRAY v_needed LOOP PERFORM errand.release(v_job, NULL, NULL, v_now); END LOOP;
  RETURN v_answers;
END $$;

CREATE FUNCTION errand.take(p_ids uuid[], p_waits bool DEFAULT true) RETURNS SETOF errand.stored LANGUAGE plpgsql ${planned} AS $$
DECLARE
  v_now int8 := errand.now_ms();
  v_all int8[];
  v_stored errand.stored;
  v_left errand.stored;
  v_size int8 := 0;
  v_out errand.taken_out := ('{}', '{}')::errand.taken_out;
  v_job record;
BEGIN
  PERFORM set_config('lock_timeout', errand.call_patience(), true);
  IF p_waits THEN
    v_all := errand.in_order(p_ids);
  ELSE
    v_all := ARRAY(SELECT j.seq FROM unnest(p_ids) u (id) JOIN errand.jobs j ON j.id = u.id FOR UPDATE OF j SKIP LOCKED);
    FOR v_left.id IN SELECT j.id FROM unnest(p_ids) u (id) JOIN errand.jobs j ON j.id = u.id WHERE j.seq <> ALL (v_all) LOOP
      RETURN NEXT v_left;
    END LOOP;
  END IF;
  -- One look for all: a job that ended between two would be returned as it was before, and erased.
  FOR v_stored IN SELECT s.* FROM unnest(v_all) u (seq) CROSS JOIN LATERAL (SELECT * FROM errand.stored WHERE seq = u.seq OFFSET 0) s LOOP
    IF NOT p_waits AND v_size >= ${handedBytes} THEN
      v_left.id := v_stored.id;
      RETURN NEXT v_left;
      CONTINUE;
    END IF;
    v_size := v_size + octet_length(v_stored.input) + coalesce(octet_length(v_stored.output), 0);
    RETURN NEXT v_stored;
    CONTINUE WHEN v_stored.finished_at IS NULL;
    v_out.seqs := v_out.seqs || v_stored.seq;
    v_out.states := v_out.states || v_stored.state::int2;
  END LOOP;
  IF v_out.seqs = '{}' THEN RETURN; END IF;
  FOR v_job IN SELECT unique_key, id FROM errand.jobs WHERE seq = ANY (v_out.seqs) AND unique_key IS NOT NULL ORDER BY unique_key LOOP
    PERFORM errand.drop_key(v_job.unique_key, v_job.id, true, v_now);
  END LOOP;
  PERFORM errand.tallied_out(v_out);
  PERFORM errand.erase_all_of(v_out);
  PERFORM errand.erased(v_now);
END $$;
`

const CANCEL = `SELECT errand.cancel($1, $2)`
const RETRY = `SELECT errand.retry($1)`
const REMOVE = `SELECT errand.remove($1)`
const TAKE = `SELECT ${storedColumns} FROM errand.take($1)`
const TAKE_FREE = `SELECT ${storedColumns} FROM errand.take($1, false)`

const cancelAnswers = ['cancelled', 'asked', 'final', 'missing'] as const
const retryAnswers = ['retried', 'duplicate', 'unfit', 'missing'] as const
const removeAnswers = ['removed', 'running', 'missing'] as const

/** The digit of a cancel that was asked for just now; one that was asked for before answers its place in the list. */
const justAsked = '4'

export async function cancel(
  db: Database,
  ids: readonly string[],
  reason: string | null,
): Promise<CancelAnswer[]> {
  if (ids.length === 0) return db.nothing([])
  const answers = await patiently(() => db.value(CANCEL, [uuids(ids), reason]))
  if (answers.includes(justAsked)) db.hints.give('cancel')
  if (answers.includes('0')) {
    db.hints.give('finished')
    await recheckNeeding(db, ids)
  }
  return Array.from(answers, (digit) => cancelAnswers[Number(digit)] ?? 'asked')
}

export async function retry(db: Database, ids: readonly string[]): Promise<RetryAnswer[]> {
  if (ids.length === 0) return db.nothing([])
  const answers = await patiently(() => db.value(RETRY, [uuids(ids)]))
  if (answers.includes('0')) {
    db.hints.give('work')
    await recheckIds(db, ids)
  }
  return Array.from(answers, (digit) => retryAnswers[Number(digit)] ?? 'missing')
}

export async function remove(db: Database, ids: readonly string[]): Promise<RemoveAnswer[]> {
  if (ids.length === 0) return db.nothing([])
  const answers = await patiently(() => db.value(REMOVE, [uuids(ids)]))
  if (answers.includes('0')) await recheckNeeding(db, ids)
  return Array.from(answers, (digit) => removeAnswers[Number(digit)] ?? 'missing')
}

export async function take(db: Database, ids: readonly string[]): Promise<(StoredJob | null)[]> {
  if (ids.length === 0) return db.nothing([])
  return asAsked(ids, await patiently(() => db.write(TAKE, [uuids([...new Set(ids)])])))
}

/** Takes what it can have without waiting, up to `handedBytes` of it; `left` are the others that are there. */
export async function takeFree(
  db: Database,
  ids: readonly string[],
): Promise<{ readonly jobs: readonly (StoredJob | null)[]; readonly left: ReadonlySet<string> }> {
  const rows = await db.write(TAKE_FREE, [uuids([...new Set(ids)])])
  const isTaken = (row: Row): boolean => seqOf(row) !== null
  const left = new Set(rows.filter((row) => !isTaken(row)).map(([, id]) => id as string))
  return { jobs: asAsked(ids, rows.filter(isTaken)), left }
}

/** The jobs of an answer in the order of the call; one that is named twice is taken once. */
function asAsked(ids: readonly string[], rows: readonly Row[]): (StoredJob | null)[] {
  const taken = new Map(rows.map(readStored).map((job) => [job.id, job]))
  return ids.map((id, index) => {
    const job = taken.get(id) ?? null
    const isAgain = ids.indexOf(id) < index
    return job !== null && isFinal(job.state) && isAgain ? null : job
  })
}
