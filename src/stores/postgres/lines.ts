/**
 * Where waiting jobs stand: `ready`, or `suspects` for those that were lost, or `scheduled`; and, for those that may not wait for
 * ever, `bounds` beside it. A blocked job stands in none but the last.
 */
import { smallInputBytes } from '../../core/job.ts'

/**
 * `line_up` adds a job to its line. `line_up_new` does so for a whole insert whose jobs are not all alike.
 * Losses that cannot be read must not keep a job out of its line: whoever claims it fails it.
 * What is special is looked at by a claim job by job: jobs with a key, with bounds, or with an input whose size counts.
 * `bind` and `unbind` remember and forget when a waiting job will have waited too long.
 *
 * `take_out` takes a waiting job out of its line and answers the state that it had; a state of 3 or more is answered for one
 * that does not wait, and nothing is changed. The caller holds the lock on the job. Since claim and promotion need no such lock,
 * it looks again when the job has just moved. History is looked at last: its many partitions cost more than all lines together.
 *
 * `take_out_all` does so for many jobs, run by run, and returns those that it found with their states: not those that are leased, blocked
 * or suspects, nor one whose run another call has just divided, nor what has ended.
 *
 * `line_up_all` makes jobs that are locked ready: neighbours become one run. `bind_all` and `unbind_all`
 * do for many what `bind` and `unbind` do for one.
 *
 * `promote` makes up to 1,000 due jobs ready: walks the head of scheduled, skips what is locked.
 */
export const lineFunctions: string = `
CREATE FUNCTION errand.bind(p_job errand.jobs) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF p_job.start_by IS NULL AND p_job.deadline_at IS NULL THEN RETURN; END IF;
  INSERT INTO errand.bounds (at, seq, task)
  VALUES (least(p_job.start_by, p_job.deadline_at), p_job.seq, p_job.task) ON CONFLICT DO NOTHING;
END $$;

CREATE FUNCTION errand.unbind(p_job errand.jobs) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF p_job.start_by IS NULL AND p_job.deadline_at IS NULL THEN RETURN; END IF;
  DELETE FROM errand.bounds WHERE at = least(p_job.start_by, p_job.deadline_at) AND seq = p_job.seq;
END $$;

CREATE FUNCTION errand.is_special(p_job errand.jobs) RETURNS bool LANGUAGE sql IMMUTABLE AS $$
  SELECT p_job.unique_key IS NOT NULL OR p_job.start_by IS NOT NULL OR p_job.deadline_at IS NOT NULL
    OR octet_length(p_job.input) > ${smallInputBytes} OR p_job.wants IS NOT NULL
$$;

CREATE FUNCTION errand.line_up(p_job errand.jobs, p_state int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF p_state = 1 THEN
    INSERT INTO errand.scheduled (due_at, seq) VALUES (p_job.due_at, p_job.seq);
  ELSIF p_state = 2 AND p_job.suspect THEN
    INSERT INTO errand.suspects (queue, priority, place, seq, losses)
    VALUES (p_job.queue, p_job.priority, p_job.place, p_job.seq, errand.losses_of(p_job.counters));
  ELSIF p_state = 2 THEN
    INSERT INTO errand.ready (queue, priority, place, first, last, special)
    VALUES (p_job.queue, p_job.priority, p_job.place, p_job.seq, p_job.seq, errand.is_special(p_job));
  END IF;
END $$;

CREATE FUNCTION errand.losses_of(p_counters text) RETURNS int LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN split_part(p_counters, ',', 4) ~ '^[0-9]{1,9}$' THEN split_part(p_counters, ',', 4)::int ELSE 0 END
$$;

CREATE FUNCTION errand.line_up_new(p_seqs int8[], p_now int8) RETURNS void LANGUAGE sql AS $$
  WITH new AS MATERIALIZED (SELECT seq, queue, priority, place, due_at, octet_length(input) > ${smallInputBytes} AS large FROM errand.jobs WHERE seq = ANY (p_seqs)),
  later AS (INSERT INTO errand.scheduled (due_at, seq) SELECT due_at, seq FROM new WHERE due_at > p_now),
  runs AS (
    INSERT INTO errand.ready (queue, priority, place, first, last, special)
    SELECT queue, priority, place, min(seq), max(seq), bool_or(large)
    FROM (SELECT *, seq - row_number() OVER (PARTITION BY queue, priority, place ORDER BY seq) AS stretch
          FROM new WHERE due_at <= p_now) n
    GROUP BY queue, priority, place, stretch ORDER BY min(seq))
  INSERT INTO errand.tally (queue, state, count)
  SELECT queue, CASE WHEN due_at > p_now THEN 1 ELSE 2 END, count(*) FROM new GROUP BY 1, 2
$$;

CREATE FUNCTION errand.take_out(p_job errand.jobs) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
  v_state int;
  v_run record;
BEGIN
  FOR attempt IN 1..200 LOOP
    SELECT CASE
      WHEN EXISTS (SELECT 1 FROM errand.running WHERE seq = p_job.seq) OR EXISTS (SELECT 1 FROM errand.leases WHERE held @> p_job.seq) THEN 3
      WHEN EXISTS (SELECT 1 FROM errand.scheduled WHERE due_at = p_job.due_at AND seq = p_job.seq) THEN 1
      WHEN EXISTS (SELECT 1 FROM errand.needs WHERE seq = p_job.seq) THEN 0
    END INTO v_state;
    IF v_state = 1 THEN
      DELETE FROM errand.scheduled WHERE due_at = p_job.due_at AND seq = p_job.seq;
      IF FOUND THEN RETURN 1; END IF;
    ELSIF v_state IS NOT NULL THEN
      RETURN v_state;
    ELSIF p_job.suspect THEN
      DELETE FROM errand.suspects
      WHERE queue = p_job.queue AND priority = p_job.priority AND place = p_job.place AND seq = p_job.seq;
      IF FOUND THEN RETURN 2; END IF;
    ELSE
      SELECT ctid, * INTO v_run FROM errand.ready
      WHERE queue = p_job.queue AND priority = p_job.priority AND place = p_job.place
        AND last >= p_job.seq AND first <= p_job.seq FOR UPDATE;
      IF FOUND THEN
        IF v_run.last > p_job.seq THEN
          UPDATE errand.ready SET first = p_job.seq + 1 WHERE ctid = v_run.ctid;
        ELSE
          DELETE FROM errand.ready WHERE ctid = v_run.ctid;
        END IF;
        IF v_run.first < p_job.seq THEN
          INSERT INTO errand.ready (queue, priority, place, first, last, special)
          VALUES (v_run.queue, v_run.priority, v_run.place, v_run.first, p_job.seq - 1, v_run.special);
        END IF;
        RETURN 2;
      END IF;
    END IF;
    SELECT state INTO v_state FROM errand.ending_of(p_job.seq);
    IF FOUND THEN RETURN v_state; END IF;
  END LOOP;
  RAISE serialization_failure USING MESSAGE = 'job ' || p_job.id || ' keeps moving';
END $$;

CREATE TYPE errand.taken_out AS (seqs int8[], states int2[]);

CREATE FUNCTION errand.take_out_all(p_seqs int8[]) RETURNS errand.taken_out LANGUAGE plpgsql AS $$
DECLARE
  v_asked int8multirange;
  v_seqs int8[];
  v_states int2[];
  v_group record;
  v_run record;
  v_part int8multirange;
BEGIN
  SELECT coalesce(range_agg(int8range(seq, seq + 1)), '{}') INTO v_asked FROM unnest(p_seqs) seq;
  WITH gone AS (
    DELETE FROM errand.scheduled s USING errand.jobs j
    WHERE j.seq = ANY (p_seqs) AND s.due_at = j.due_at AND s.seq = j.seq RETURNING s.seq)
  SELECT coalesce(array_agg(seq), '{}'), coalesce(array_agg(1::int2), '{}') INTO v_seqs, v_states FROM gone;
  FOR v_group IN
    SELECT queue, priority, place, min(seq) AS least, max(seq) AS most FROM errand.jobs WHERE seq = ANY (p_seqs) GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
  LOOP
    FOR v_run IN
      SELECT ctid, * FROM errand.ready WHERE queue = v_group.queue AND priority = v_group.priority AND place = v_group.place
        AND last >= v_group.least AND first <= v_group.most ORDER BY last FOR UPDATE
    LOOP
      v_part := int8multirange(int8range(v_run.first, v_run.last + 1)) * v_asked;
      CONTINUE WHEN isempty(v_part);
      DELETE FROM errand.ready WHERE ctid = v_run.ctid;
      INSERT INTO errand.ready (queue, priority, place, first, last, special)
      SELECT v_run.queue, v_run.priority, v_run.place, lower(r), upper(r) - 1, v_run.special
      FROM unnest(int8multirange(int8range(v_run.first, v_run.last + 1)) - v_part) r;
      v_seqs := v_seqs || ARRAY(SELECT generate_series(lower(r), upper(r) - 1) FROM unnest(v_part) r);
      v_states := v_states || array_fill(2::int2, ARRAY[cardinality(v_seqs) - cardinality(v_states)]);
    END LOOP;
  END LOOP;
  RETURN (v_seqs, v_states)::errand.taken_out;
END $$;

CREATE FUNCTION errand.line_up_all(p_seqs int8[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO errand.ready (queue, priority, place, first, last, special)
  SELECT queue, priority, place, min(seq), max(seq), special
  FROM (SELECT j.queue, j.priority, j.place, j.seq, errand.is_special(j) AS special,
          CASE WHEN errand.is_special(j) THEN -j.seq
          ELSE j.seq - row_number() OVER (PARTITION BY j.queue, j.priority, j.place, errand.is_special(j) ORDER BY j.seq) END AS stretch
        FROM errand.jobs j WHERE j.seq = ANY (p_seqs) AND NOT j.suspect) n
  GROUP BY queue, priority, place, special, stretch ORDER BY min(seq);
END $$;

CREATE FUNCTION errand.bind_all(p_seqs int8[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO errand.bounds (at, seq, task)
  SELECT least(start_by, deadline_at), seq, task FROM errand.jobs
  WHERE seq = ANY (p_seqs) AND (start_by IS NOT NULL OR deadline_at IS NOT NULL) ON CONFLICT DO NOTHING;
END $$;

CREATE FUNCTION errand.unbind_all(p_seqs int8[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM errand.bounds b USING errand.jobs j
  WHERE j.seq = ANY (p_seqs) AND b.at = least(j.start_by, j.deadline_at) AND b.seq = j.seq;
END $$;

CREATE FUNCTION errand.promote(p_now int8) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_seqs int8[];
  v_job errand.jobs;
BEGIN
  WITH gone AS (
    DELETE FROM errand.scheduled WHERE ctid = ANY (ARRAY(
      SELECT ctid FROM errand.scheduled WHERE due_at <= p_now ORDER BY due_at, seq LIMIT 1000 FOR UPDATE SKIP LOCKED))
    RETURNING seq)
  SELECT array_agg(seq) INTO v_seqs FROM gone;
  IF v_seqs IS NULL THEN RETURN; END IF;
  INSERT INTO errand.tally (queue, state, count)
  SELECT queue, state, sum(count) FROM (
    SELECT queue, unnest(ARRAY[1, 2]) AS state, unnest(ARRAY[-1, 1]) AS count FROM errand.jobs WHERE seq = ANY (v_seqs)) t
  GROUP BY queue, state;
  PERFORM errand.line_up_all(v_seqs);
  FOR v_job IN SELECT * FROM errand.jobs WHERE seq = ANY (v_seqs) AND (suspect OR unique_key IS NOT NULL) ORDER BY unique_key, seq LOOP
    IF v_job.suspect THEN PERFORM errand.line_up(v_job, 2); END IF;
    PERFORM errand.rekey(v_job.unique_key, v_job.id, v_job.unique_during, v_job.unique_until, 2, p_now);
  END LOOP;
END $$;
`
