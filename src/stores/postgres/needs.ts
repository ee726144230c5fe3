/** How a job ends, and what that means for the jobs that need it. */
import { longestMs } from '../../core/duration.ts'
import { ringDays } from './tables.ts'
import { apartPatienceMs, planned } from './plan-settings.ts'

/**
 * `ending_of` answers how a job ended, from either table of history. Like all that is called job by
 * job it is written so that its plans are kept: a function in SQL is planned anew for each call,
 * which takes half a millisecond for the partitions of history. `end_job` brings a job that is in
 * no line any more into a final state, `release` must follow in the same transaction: it settles
 * the needs of the jobs that waited for an ended one, then of those that were cancelled for it, and
 * so on, and removes what is not to be kept. A dependant is locked before its needs are looked at,
 * so that of two needs that end at once the later one sees that it was the last. A dependant that
 * is leased as overdue keeps a failed need until it is put back.
 *
 * `ended_of` returns those of many jobs that have ended, with their states, `filed_of` those in `finished`. Each job is looked for in the
 * partitions alone that `buckets_of` names: in all of them, the look for a job costs more than all else. `cancel_all_waiting` cancels jobs that `take_out_all` took out and
 * that no other needs; `erase_all_of` erases jobs that were taken out or have ended; `tallied_out` counts them out of their states. They write
 * what `end_waiting`, `erase` and `tallied` write job by job, table by table instead. The caller holds the locks on the jobs.
 *
 * `drop_traces` removes what runs left beside the row of a job: progress, log and records. Mostly
 * there is none, which it sees first.
 *
 * `drop_empty_batches` removes rows of history, with the outputs in them, of which these jobs were
 * the last that were kept.
 *
 * `need_state` returns the final state of a needed job, −1 for one that has none yet, null for one that
 * is not known. It looks first where jobs wait, at a step in an index each: a look at all partitions of
 * history costs ten times as much.
 *
 * `weigh` looks at what a job needs by what the store knows now and strikes what is met, or failed
 * and may fail. It returns the state in which the job ends for a need that failed, and whether
 * needs are left. It walks the index of needs by job, then that of ids.
 *
 * `recheck` weighs jobs anew whose insert may have passed the end of a need: it holds the needs
 * still, then the job, in the order in which an ending locks them. It holds some while it asks for
 * others, so it waits for none: where anything is locked it leaves the doubt standing and answers
 * false. Nor does it wait for long where a job is cancelled and others that need it are held: that
 * job stays in doubt.
 */
export const endingFunctions: string = `
CREATE FUNCTION errand.bucket_of(p_now int8, p_keep int8) RETURNS int2 LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN p_keep IS NULL THEN -1 ELSE (p_now + greatest(least(p_keep, ${longestMs}), 0)) / 86400000 % ${ringDays} END::int2
$$;

CREATE FUNCTION errand.ending_of(p_seq int8, OUT state int2, OUT token int8) RETURNS SETOF record LANGUAGE plpgsql AS $$
BEGIN
  RETURN QUERY SELECT 4::int2, b.token FROM errand.batches b WHERE b.seqs @> p_seq;
  IF NOT FOUND THEN RETURN QUERY SELECT f.state, f.token FROM errand.finished f WHERE f.seq = p_seq; END IF;
END $$;

CREATE FUNCTION errand.end_job(p_job errand.jobs, p_from int, p_to int, p_output text, p_reason text, p_keep int8,
  p_token int8, p_worker text, p_started int8, p_counters text, p_now int8) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO errand.finished (bucket, seq, state, finished_at, keep_ms, token, worker, started_at, counters, reason, output)
  VALUES (errand.bucket_of(p_now, p_keep), p_job.seq, p_to, p_now, p_keep, p_token, p_worker, p_started, p_counters, p_reason, p_output);
  PERFORM errand.tallied(p_job.queue, p_from, p_to);
  DELETE FROM errand.needs WHERE seq = p_job.seq;
  PERFORM errand.rekey(p_job.unique_key, p_job.id, p_job.unique_during, p_job.unique_until, p_to, p_now);
END $$;

CREATE FUNCTION errand.end_waiting(p_job errand.jobs, p_from int, p_to int, p_reason text, p_now int8) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM errand.unbind(p_job);
  PERFORM errand.end_job(p_job, p_from, p_to, NULL, p_reason, p_job.keep_cancelled_ms, p_job.token, p_job.worker, NULL, p_job.counters, p_now);
END $$;

CREATE FUNCTION errand.drop_traces(p_seqs int8[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT 1 FROM errand.progress) THEN DELETE FROM errand.progress WHERE seq = ANY (p_seqs); END IF;
  IF EXISTS (SELECT 1 FROM errand.log) THEN DELETE FROM errand.log WHERE seq = ANY (p_seqs); END IF;
  IF EXISTS (SELECT 1 FROM errand.recorded) THEN DELETE FROM errand.recorded WHERE seq = ANY (p_seqs); END IF;
END $$;

CREATE FUNCTION errand.buckets_of(p_seqs int8[]) RETURNS int2[] LANGUAGE plpgsql AS $$
DECLARE
  v_least int8 := (SELECT min(seq) FROM unnest(p_seqs) seq);
  v_most int8 := (SELECT max(seq) FROM unnest(p_seqs) seq);
BEGIN
  RETURN ARRAY(SELECT b::int2 FROM generate_series(-1, ${ringDays - 1}) b
    WHERE EXISTS (SELECT 1 FROM errand.finished f WHERE f.bucket = b::int2 AND f.seq >= v_least AND f.seq <= v_most LIMIT 1));
END $$;

CREATE FUNCTION errand.ended_of(p_seqs int8[]) RETURNS errand.taken_out LANGUAGE plpgsql AS $$
DECLARE
  v_asked int8multirange;
  v_seqs int8[];
  v_filed errand.taken_out;
BEGIN
  IF p_seqs = '{}' THEN RETURN ('{}', '{}')::errand.taken_out; END IF;
  SELECT range_agg(int8range(seq, seq + 1)) INTO v_asked FROM unnest(p_seqs) seq;
  v_seqs := ARRAY(SELECT generate_series(lower(r), upper(r) - 1) FROM errand.batches b, unnest(b.seqs * v_asked) r WHERE b.seqs && v_asked);
  v_filed := errand.filed_of(p_seqs);
  RETURN (v_seqs || v_filed.seqs, array_fill(4::int2, ARRAY[cardinality(v_seqs)]) || v_filed.states)::errand.taken_out;
END $$;

CREATE FUNCTION errand.filed_of(p_seqs int8[]) RETURNS errand.taken_out LANGUAGE plpgsql AS $$
DECLARE
  v_bucket int2;
  v_filed errand.taken_out := ('{}', '{}')::errand.taken_out;
  v_part errand.taken_out;
BEGIN
  FOREACH v_bucket IN ARRAY errand.buckets_of(p_seqs) LOOP
    SELECT coalesce(array_agg(seq), '{}'), coalesce(array_agg(state), '{}') INTO v_part.seqs, v_part.states
    FROM errand.finished WHERE bucket = v_bucket AND seq = ANY (p_seqs);
    v_filed := (v_filed.seqs || v_part.seqs, v_filed.states || v_part.states)::errand.taken_out;
  END LOOP;
  RETURN v_filed;
END $$;

CREATE FUNCTION errand.tallied_out(p_out errand.taken_out) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO errand.tally (queue, state, count)
  SELECT j.queue, u.state, -count(*) FROM unnest(p_out.seqs, p_out.states) u (seq, state) JOIN errand.jobs j ON j.seq = u.seq GROUP BY 1, 2;
END $$;

CREATE FUNCTION errand.cancel_all_waiting(p_out errand.taken_out, p_reason text, p_now int8) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_gone int8[];
  v_job record;
BEGIN
  IF p_out.seqs = '{}' THEN RETURN; END IF;
  PERFORM errand.unbind_all(p_out.seqs);
  PERFORM errand.tallied_out(p_out);
  INSERT INTO errand.finished (bucket, seq, state, finished_at, keep_ms, token, worker, counters, reason)
  SELECT errand.bucket_of(p_now, keep_cancelled_ms), seq, 6, p_now, keep_cancelled_ms, token, worker, counters, p_reason
  FROM errand.jobs WHERE seq = ANY (p_out.seqs) AND coalesce(keep_cancelled_ms, 1) > 0 ORDER BY seq;
  INSERT INTO errand.tally (queue, state, count)
  SELECT queue, 6, count(*) FROM errand.jobs WHERE seq = ANY (p_out.seqs) AND coalesce(keep_cancelled_ms, 1) > 0 GROUP BY queue;
  DELETE FROM errand.needs WHERE seq = ANY (p_out.seqs);
  FOR v_job IN
    SELECT unique_key, id, unique_during, unique_until, coalesce(keep_cancelled_ms, 1) > 0 AS kept
    FROM errand.jobs WHERE seq = ANY (p_out.seqs) AND unique_key IS NOT NULL ORDER BY unique_key
  LOOP
    PERFORM errand.rekey(v_job.unique_key, v_job.id, v_job.unique_during, v_job.unique_until, 6, p_now);
    IF NOT v_job.kept THEN PERFORM errand.drop_key(v_job.unique_key, v_job.id, true, p_now); END IF;
  END LOOP;
  v_gone := ARRAY(SELECT seq FROM errand.jobs WHERE seq = ANY (p_out.seqs) AND keep_cancelled_ms <= 0);
  IF v_gone = '{}' THEN RETURN; END IF;
  PERFORM errand.erase_all_of((v_gone, array_fill(1::int2, ARRAY[cardinality(v_gone)]))::errand.taken_out);
  PERFORM errand.erased(p_now);
END $$;

CREATE FUNCTION errand.erase_all_of(p_out errand.taken_out) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_batched int8[] := ARRAY(SELECT seq FROM unnest(p_out.seqs, p_out.states) u (seq, state)
    WHERE state = 4 AND EXISTS (SELECT 1 FROM errand.batches b WHERE b.seqs @> seq));
  v_filed int8[] := ARRAY(SELECT seq FROM unnest(p_out.seqs, p_out.states) u (seq, state) WHERE state >= 4 AND seq <> ALL (v_batched));
  v_bucket int2;
BEGIN
  IF v_filed <> '{}' THEN
    FOREACH v_bucket IN ARRAY errand.buckets_of(v_filed) LOOP
      DELETE FROM errand.finished WHERE bucket = v_bucket AND seq = ANY (v_filed);
    END LOOP;
  END IF;
  DELETE FROM errand.jobs WHERE seq = ANY (p_out.seqs);
  PERFORM errand.drop_traces(p_out.seqs);
  DELETE FROM errand.needs WHERE seq = ANY (p_out.seqs);
  IF v_batched <> '{}' THEN PERFORM errand.drop_empty_batches(v_batched); END IF;
END $$;

CREATE FUNCTION errand.drop_empty_batches(p_seqs int8[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM errand.batches WHERE ctid = ANY (ARRAY(
    SELECT b.ctid FROM errand.batches b
    WHERE b.seqs && (SELECT range_agg(int8range(seq, seq + 1)) FROM unnest(p_seqs) seq)
      AND NOT EXISTS (SELECT 1 FROM unnest(b.seqs) s CROSS JOIN LATERAL (
        SELECT 1 FROM errand.jobs WHERE seq >= lower(s) AND seq < upper(s) LIMIT 1) j)
    FOR UPDATE OF b SKIP LOCKED));
END $$;

CREATE FUNCTION errand.erase(p_job errand.jobs, p_state int, p_keep_key bool, p_now int8) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF p_state > 3 THEN DELETE FROM errand.finished WHERE seq = p_job.seq; END IF;
  DELETE FROM errand.jobs WHERE seq = p_job.seq;
  PERFORM errand.drop_traces(ARRAY[p_job.seq]);
  DELETE FROM errand.needs WHERE seq = p_job.seq;
  PERFORM errand.tallied(p_job.queue, p_state, NULL);
  PERFORM errand.drop_key(p_job.unique_key, p_job.id, p_keep_key, p_now);
  PERFORM errand.erased(p_now);
  IF p_state = 4 THEN PERFORM errand.drop_empty_batches(ARRAY[p_job.seq]); END IF;
END $$;

CREATE FUNCTION errand.release(p_job errand.jobs, p_state int, p_keep int8, p_now int8) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_jobs errand.jobs[] := ARRAY[p_job];
  v_states int[] := ARRAY[p_state];
  v_keeps int8[] := ARRAY[p_keep];
  v_ended errand.jobs;
  v_state int;
  v_keep int8;
  v_need record;
  v_job errand.jobs;
  v_last int;
BEGIN
  LOOP
    v_last := cardinality(v_jobs);
    EXIT WHEN v_last = 0;
    v_ended := v_jobs[v_last];
    v_state := v_states[v_last];
    v_keep := v_keeps[v_last];
    v_jobs := trim_array(v_jobs, 1);
    v_states := trim_array(v_states, 1);
    v_keeps := trim_array(v_keeps, 1);
    IF v_state IS NOT NULL THEN PERFORM errand.keep_ended(v_ended, v_state, errand.bucket_of(p_now, v_keep)); END IF;
    FOR v_need IN SELECT seq, ends_as FROM errand.needs WHERE need = v_ended.id ORDER BY seq LOOP
      PERFORM 1 FROM errand.jobs WHERE seq = v_need.seq FOR UPDATE;
      CONTINUE WHEN NOT FOUND;
      PERFORM 1 FROM errand.needs WHERE need = v_ended.id AND seq = v_need.seq;
      CONTINUE WHEN NOT FOUND;
      IF v_state IS DISTINCT FROM 4 AND v_need.ends_as IS NOT NULL THEN
        CONTINUE WHEN errand.is_leased(v_need.seq);
        SELECT * INTO v_job FROM errand.jobs WHERE seq = v_need.seq;
        PERFORM errand.end_waiting(v_job, 0, v_need.ends_as, 'need-failed', p_now);
        v_jobs := v_jobs || v_job;
        v_states := v_states || v_need.ends_as::int;
        v_keeps := v_keeps || v_job.keep_cancelled_ms;
        CONTINUE;
      END IF;
      DELETE FROM errand.needs WHERE need = v_ended.id AND seq = v_need.seq;
      -- The row of a job that needs many may be wide: it is read once, for the last of them.
      PERFORM 1 FROM errand.needs WHERE seq = v_need.seq LIMIT 1;
      CONTINUE WHEN FOUND;
      SELECT * INTO v_job FROM errand.jobs WHERE seq = v_need.seq;
      PERFORM errand.unblock(v_job, p_now);
    END LOOP;
    IF v_state IS NOT NULL AND v_keep <= 0 THEN PERFORM errand.erase(v_ended, v_state, true, p_now); END IF;
  END LOOP;
END $$;

CREATE FUNCTION errand.is_leased(p_seq int8) RETURNS bool LANGUAGE sql VOLATILE AS $$
  SELECT EXISTS (SELECT 1 FROM errand.running WHERE seq = p_seq) OR EXISTS (SELECT 1 FROM errand.leases WHERE held @> p_seq)
$$;

CREATE FUNCTION errand.unblock(p_job errand.jobs, p_now int8) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_state int := CASE WHEN p_job.due_at > p_now THEN 1 ELSE 2 END;
  v_job errand.jobs := p_job;
BEGIN
  PERFORM 1 FROM errand.needs WHERE seq = p_job.seq;
  IF FOUND OR errand.is_leased(p_job.seq) THEN RETURN; END IF;
  v_job.place := greatest(p_job.due_at, p_now) - coalesce(p_job.head_start_ms, 0);
  IF v_job.place <> p_job.place THEN UPDATE errand.jobs SET place = v_job.place WHERE seq = p_job.seq; END IF;
  PERFORM errand.line_up(v_job, v_state);
  PERFORM errand.tallied(p_job.queue, 0, v_state);
  PERFORM errand.rekey(p_job.unique_key, p_job.id, p_job.unique_during, p_job.unique_until, v_state, p_now);
END $$;

CREATE FUNCTION errand.need_state(p_need uuid, p_seq int8) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
  RETURN (SELECT CASE
      WHEN EXISTS (SELECT 1 FROM errand.needs n WHERE n.seq = j.seq)
        OR EXISTS (SELECT 1 FROM errand.scheduled s WHERE s.due_at = j.due_at AND s.seq = j.seq)
        OR EXISTS (SELECT 1 FROM errand.ready r WHERE r.queue = j.queue AND r.priority = j.priority AND r.place = j.place
          AND r.last >= j.seq AND r.first <= j.seq) THEN -1
      ELSE coalesce((SELECT state FROM errand.ending_of(j.seq)), -1) END
    FROM errand.jobs j WHERE j.id = p_need AND j.seq IS DISTINCT FROM p_seq);
END $$;

CREATE FUNCTION errand.weigh(p_seq int8, OUT ends_as int, OUT waits bool) LANGUAGE plpgsql AS $$
DECLARE
  v_need record;
  v_state int;
BEGIN
  waits := false;
  FOR v_need IN SELECT n.need, n.ends_as FROM errand.needs n WHERE n.seq = p_seq ORDER BY n.need LOOP
    v_state := errand.need_state(v_need.need, p_seq);
    IF v_state IS NULL THEN
      v_state := errand.kept_state((SELECT group_id FROM errand.jobs WHERE seq = p_seq), v_need.need);
    ELSIF v_state <> -1 THEN
      PERFORM errand.keep_found(p_seq, v_need.need);
    END IF;
    IF v_state = -1 THEN
      waits := true;
    ELSIF v_state IS DISTINCT FROM 4 AND v_need.ends_as IS NOT NULL THEN
      ends_as := v_need.ends_as;
      waits := true;
      RETURN;
    ELSE
      DELETE FROM errand.needs n WHERE n.need = v_need.need AND n.seq = p_seq;
    END IF;
  END LOOP;
END $$;

CREATE FUNCTION errand.recheck(p_ids uuid[]) RETURNS bool LANGUAGE plpgsql ${planned} AS $$
DECLARE
  v_now int8 := errand.now_ms();
  v_seqs int8[] := CASE WHEN p_ids IS NULL THEN ARRAY(SELECT seq FROM errand.doubts ORDER BY seq LIMIT 1000)
    ELSE ARRAY(SELECT seq FROM errand.jobs WHERE id = ANY (p_ids) ORDER BY seq) END;
  v_seq int8;
  v_need record;
  v_sure bool;
  v_all bool := true;
  v_waits_until timestamptz := clock_timestamp() + interval '${apartPatienceMs} ms';
BEGIN
  FOREACH v_seq IN ARRAY v_seqs LOOP
    CONTINUE WHEN NOT EXISTS (SELECT 1 FROM errand.doubts WHERE seq = v_seq);
    PERFORM 1 FROM errand.doubts WHERE seq = v_seq FOR UPDATE SKIP LOCKED;
    v_sure := FOUND;
    FOR v_need IN SELECT j.seq FROM errand.needs n JOIN errand.jobs j ON j.id = n.need WHERE n.seq = v_seq ORDER BY j.seq LOOP
      v_sure := v_sure AND errand.hold_still(v_need.seq);
    END LOOP;
    v_sure := v_sure AND errand.lock_free(v_seq);
    v_all := v_all AND v_sure;
    CONTINUE WHEN NOT v_sure;
    v_all := errand.weigh_anew(v_seq, v_now, errand.ms_until(v_waits_until)) AND v_all;
  END LOOP;
  RETURN v_all;
END $$;

CREATE FUNCTION errand.weigh_anew(p_seq int8, p_now int8, p_patience_ms int) RETURNS bool LANGUAGE plpgsql
SET lock_timeout = ${apartPatienceMs} AS $$
DECLARE
  v_job errand.jobs;
  v_weighed record;
BEGIN
  PERFORM set_config('lock_timeout', p_patience_ms::text, true);
  SELECT * INTO v_job FROM errand.jobs WHERE seq = p_seq;
  DELETE FROM errand.doubts WHERE seq = p_seq;
  IF NOT EXISTS (SELECT 1 FROM errand.needs WHERE seq = p_seq) OR errand.is_leased(p_seq) THEN RETURN true; END IF;
  v_weighed := errand.weigh(p_seq);
  IF v_weighed.ends_as IS NOT NULL THEN
    PERFORM errand.end_waiting(v_job, 0, v_weighed.ends_as, 'need-failed', p_now);
    PERFORM errand.release(v_job, v_weighed.ends_as, v_job.keep_cancelled_ms, p_now);
  ELSIF NOT v_weighed.waits THEN
    PERFORM errand.unblock(v_job, p_now);
  END IF;
  RETURN true;
EXCEPTION WHEN lock_not_available THEN RETURN false;
END $$;

CREATE FUNCTION errand.lock_free(p_seq int8) RETURNS bool LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM errand.jobs WHERE seq = p_seq FOR UPDATE SKIP LOCKED;
  RETURN FOUND OR NOT EXISTS (SELECT 1 FROM errand.jobs WHERE seq = p_seq);
END $$;

CREATE FUNCTION errand.hold_still(p_seq int8) RETURNS bool LANGUAGE plpgsql AS $$
DECLARE
  v_lease errand.leases;
BEGIN
  IF NOT errand.lock_free(p_seq) THEN RETURN false; END IF;
  SELECT * INTO v_lease FROM errand.leases WHERE held @> p_seq FOR UPDATE SKIP LOCKED;
  IF FOUND AND v_lease.held @> p_seq THEN PERFORM errand.unshare(v_lease, p_seq); END IF;
  IF EXISTS (SELECT 1 FROM errand.leases WHERE held @> p_seq) THEN RETURN false; END IF;
  PERFORM 1 FROM errand.running WHERE seq = p_seq FOR UPDATE SKIP LOCKED;
  RETURN FOUND OR NOT EXISTS (SELECT 1 FROM errand.running WHERE seq = p_seq);
END $$;
`
