/** What people do to jobs: cancel, retry, remove, take. */
import { isFinal } from '../../core/job.ts'
import type { CancelAnswer, RemoveAnswer, RetryAnswer } from '../../store/operators.ts'
import type { StoredJob } from '../../store/job.ts'
import type { Database } from './database.ts'
import { recheckNeeding } from './insert.ts'
import { uuids } from './arrays.ts'
import { readStored, storedColumns } from './rows.ts'
import { patiently } from './held.ts'
import { patienceMs, planned } from './plan-settings.ts'

/**
 * Each takes its jobs one after the other and locks the job, then the table that holds it. Answers are digits: the places of the
 * answers in the lists below. A call whose jobs a transaction of a user holds waits for a moment, and gives up what it has locked itself; it
 * is sent again for as long as it is worth waiting.
 *
 * `cancel` waits for a lease that is just being settled, so that both know who came first, but not for one that somebody's transaction
 * holds: that one is asked.
 *
 * `remove` takes its jobs out of their lines together, and one by one what `take_out_all` leaves; it erases them, and only then settles
 * the needs of others.
 *
 * Of several jobs, `in_order` locks the rows before, in the order of their numbers, so that no two calls wait for each other. A
 * `cancel` does so for those that wait, after the leases of the others; and one `cancel` of several goes after the other, since what
 * it writes for a running job is no row that could be locked before.
 */
export const operatorFunctions: string = `
CREATE FUNCTION errand.in_order(p_ids uuid[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF cardinality(p_ids) < 2 THEN RETURN; END IF;
  PERFORM 1 FROM errand.jobs WHERE seq = ANY (ARRAY(SELECT j.seq FROM unnest(p_ids) u (id) JOIN errand.jobs j ON j.id = u.id))
  ORDER BY seq FOR UPDATE;
END $$;

CREATE FUNCTION errand.cancel_in_order(p_ids uuid[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_token int8;
BEGIN
  IF cardinality(p_ids) < 2 THEN RETURN; END IF;
  PERFORM pg_advisory_xact_lock(('errand.cancels'::regclass::oid::int8 % 2147483647)::int, 1);
  FOR v_token IN
    SELECT DISTINCT l.token FROM unnest(p_ids) u (id) JOIN errand.jobs j ON j.id = u.id JOIN errand.leases l ON l.held @> j.seq ORDER BY 1
  LOOP
    PERFORM 1 FROM errand.leases WHERE token = v_token FOR UPDATE;
  END LOOP;
  PERFORM errand.in_order(ARRAY(
    SELECT u.id FROM unnest(p_ids) u (id) JOIN errand.jobs j ON j.id = u.id WHERE NOT errand.is_leased(j.seq)));
END $$;

CREATE FUNCTION errand.cancel(p_ids uuid[], p_reason text) RETURNS text LANGUAGE plpgsql ${planned} AS $$
DECLARE
  v_now int8 := errand.now_ms();
  v_waits_until timestamptz;
  v_id uuid;
  v_answers text := '';
BEGIN
  PERFORM set_config('lock_timeout', errand.call_patience(), true);
  PERFORM errand.cancel_in_order(p_ids);
  v_waits_until := clock_timestamp() + interval '${patienceMs} ms';
  FOREACH v_id IN ARRAY p_ids LOOP
    v_answers := v_answers || errand.cancel_one(v_id, p_reason, v_now, v_waits_until);
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
  v_id uuid;
  v_job errand.jobs;
  v_old errand.finished;
  v_answers text := '';
BEGIN
  PERFORM set_config('lock_timeout', errand.call_patience(), true);
  PERFORM errand.in_order(p_ids);
  FOREACH v_id IN ARRAY p_ids LOOP
    SELECT * INTO v_job FROM errand.jobs WHERE id = v_id FOR UPDATE;
    IF NOT FOUND THEN
      v_answers := v_answers || '3';
      CONTINUE;
    END IF;
    SELECT * INTO v_old FROM errand.finished WHERE seq = v_job.seq;
    IF NOT FOUND OR v_old.state <= 4 THEN
      v_answers := v_answers || '2';
      CONTINUE;
    END IF;
    IF v_job.unique_key IS NOT NULL AND errand.lists(v_job.unique_during, 2)
      AND NOT errand.rekey(v_job.unique_key, v_job.id, v_job.unique_during, v_job.unique_until, 2, v_now) THEN
      v_answers := v_answers || '1';
      CONTINUE;
    END IF;
    v_job.due_at := v_now;
    v_job.place := v_now;
    v_job.start_by := v_now + errand.span(v_job.start_within_ms);
    v_job.deadline_at := v_now + errand.span(v_job.deadline_ms);
    v_job.suspect := false;
    v_job.counters := NULL;
    DELETE FROM errand.finished WHERE seq = v_job.seq;
    DELETE FROM errand.progress WHERE seq = v_job.seq;
    -- A cancel was asked for while a transaction of the user that ended the job was open.
    DELETE FROM errand.cancels WHERE seq = v_job.seq;
    UPDATE errand.jobs SET due_at = v_now, place = v_now, start_by = v_job.start_by, deadline_at = v_job.deadline_at, counters = NULL,
      suspect = false, token = v_old.token, worker = v_old.worker WHERE seq = v_job.seq;
    PERFORM errand.line_up(v_job, 2);
    PERFORM errand.bind(v_job);
    PERFORM errand.tallied(v_job.queue, v_old.state, 2);
    PERFORM errand.rekey(v_job.unique_key, v_job.id, v_job.unique_during, v_job.unique_until, 2, v_now);
    v_answers := v_answers || '0';
  END LOOP;
  RETURN v_answers;
END $$;

CREATE FUNCTION errand.remove(p_ids uuid[]) RETURNS text LANGUAGE plpgsql ${planned} AS $$
DECLARE
  v_now int8 := errand.now_ms();
  v_all int8[];
  v_out errand.taken_out;
  v_state int;
  v_job errand.jobs;
  v_taken int8multirange;
  v_needed errand.jobs[];
  v_answers text;
BEGIN
  PERFORM set_config('lock_timeout', errand.call_patience(), true);
  WITH held AS MATERIALIZED (
    SELECT seq FROM errand.jobs WHERE seq = ANY (ARRAY(SELECT j.seq FROM unnest(p_ids) u (id) JOIN errand.jobs j ON j.id = u.id))
    ORDER BY seq FOR UPDATE)
  SELECT coalesce(array_agg(seq), '{}') INTO v_all FROM held;
  v_out := errand.take_out_all(v_all);
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
  LEFT JOIN errand.jobs j ON j.id = u.id;
  IF isempty(v_taken) THEN RETURN v_answers; END IF;
  DELETE FROM errand.bounds b USING errand.jobs j
  WHERE j.seq = ANY (v_out.seqs) AND b.at = least(j.start_by, j.deadline_at) AND b.seq = j.seq;
  FOR v_job IN SELECT * FROM errand.jobs WHERE seq = ANY (v_out.seqs) AND unique_key IS NOT NULL ORDER BY unique_key LOOP
    PERFORM errand.drop_key(v_job.unique_key, v_job.id, false, v_now);
  END LOOP;
  INSERT INTO errand.tally (queue, state, count)
  SELECT j.queue, u.state, -count(*) FROM unnest(v_out.seqs, v_out.states) u (seq, state) JOIN errand.jobs j ON j.seq = u.seq GROUP BY 1, 2;
  v_needed := ARRAY(SELECT j FROM errand.jobs j WHERE seq = ANY (v_out.seqs) AND EXISTS (SELECT 1 FROM errand.needs WHERE need = j.id) ORDER BY seq);
  PERFORM errand.erase_all_of(v_out.seqs);
  PERFORM errand.erased(v_now);
  FOREACH v_job IN ARRAY v_needed LOOP PERFORM errand.release(v_job, NULL, NULL, v_now); END LOOP;
  RETURN v_answers;
END $$;

CREATE FUNCTION errand.take(p_ids uuid[]) RETURNS SETOF errand.stored LANGUAGE plpgsql ${planned} AS $$
DECLARE
  v_now int8 := errand.now_ms();
  v_id uuid;
  v_job errand.jobs;
  v_stored errand.stored;
BEGIN
  PERFORM set_config('lock_timeout', errand.call_patience(), true);
  PERFORM errand.in_order(p_ids);
  FOREACH v_id IN ARRAY p_ids LOOP
    SELECT * INTO v_job FROM errand.jobs WHERE id = v_id FOR UPDATE;
    CONTINUE WHEN NOT FOUND;
    SELECT * INTO v_stored FROM errand.stored WHERE seq = v_job.seq;
    RETURN NEXT v_stored;
    IF v_stored.finished_at IS NOT NULL THEN PERFORM errand.erase(v_job, v_stored.state, true, v_now); END IF;
  END LOOP;
END $$;
`

const CANCEL = `SELECT errand.cancel($1, $2)`
const RETRY = `SELECT errand.retry($1)`
const REMOVE = `SELECT errand.remove($1)`
const TAKE = `SELECT ${storedColumns} FROM errand.take($1)`

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
  if (answers.includes('0')) db.hints.give('work')
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
  const rows = await patiently(() => db.write(TAKE, [uuids([...new Set(ids)])]))
  const taken = new Map(rows.map(readStored).map((job) => [job.id, job]))
  return ids.map((id, index) => {
    const job = taken.get(id) ?? null
    const isAgain = ids.indexOf(id) < index
    return job !== null && isFinal(job.state) && isAgain ? null : job
  })
}
