/** What the ends of many jobs mean for the jobs that need them, table by table. */
import { apartPatienceMs } from './plan-settings.ts'

/**
 * `unblock_all` does for jobs under shared leases, which the caller has locked and is about to end,
 * what `release` does for one: it locks the jobs that wait for them, keeps how they ended for those
 * that want to know, strikes their needs, and lines up those that need nothing any more. It leaves
 * alone, and returns, the jobs on which another ends that waits, and those for which somebody who
 * waits is held by a transaction of a user or came just now; these go one by one, as `settle` does.
 * A dependant that is leased as overdue loses its need, and no more.
 *
 * `hold_dependants` locks in the order of numbers, so that no two calls wait for each other, and
 * takes what is free where one of them is held. It returns what it locked, and whether any of these
 * wants to know how its needs ended, or has a key, is a suspect, or was not due when it was
 * inserted. It walks the primary keys of `needs` and `jobs`.
 *
 * `line_up_met` strikes the needs and lines up those that need nothing any more, in one statement: a
 * release of a few jobs costs the server mostly statements. It is for jobs of which none is odd, and
 * returns whether any is due now. It walks the primary key of `needs`, then by job the index
 * of `needs`, and the primary keys of `running` and `jobs`; what it writes is locked by `hold_dependants`.
 *
 * `line_up_odd` goes job by job: it lines up those that are not due or are suspects, and returns
 * the others, whose keys it has seen to.
 */
export const unblockingFunctions: string = `
-- Jobs that were left alone, and whether others may be due.
CREATE TYPE errand.done AS (aside int8multirange, due bool);

CREATE FUNCTION errand.hold_dependants(p_seqs int8[], OUT locked int8multirange, OUT wants bool, OUT is_odd bool) LANGUAGE plpgsql
SET lock_timeout = ${apartPatienceMs} AS $$
DECLARE
  v_waiting int8[] := ARRAY(
    SELECT DISTINCT n.seq FROM unnest(p_seqs) u (seq) CROSS JOIN LATERAL (SELECT id FROM errand.jobs WHERE jobs.seq = u.seq OFFSET 0) j
      CROSS JOIN LATERAL (SELECT seq FROM errand.needs WHERE need = j.id OFFSET 0) n);
BEGIN
  BEGIN
    SELECT coalesce(range_agg(int8range(seq, seq + 1)), '{}'), bool_or(j.wants IS NOT NULL),
      bool_or(j.suspect OR j.unique_key IS NOT NULL OR j.due_at > j.created_at)
    INTO locked, wants, is_odd FROM (SELECT * FROM errand.jobs WHERE seq = ANY (v_waiting) ORDER BY seq FOR UPDATE) j;
  EXCEPTION WHEN lock_not_available THEN
    SELECT coalesce(range_agg(int8range(seq, seq + 1)), '{}'), true, true
    INTO locked, wants, is_odd FROM (SELECT seq FROM errand.jobs WHERE seq = ANY (v_waiting) ORDER BY seq FOR UPDATE SKIP LOCKED) j;
  END;
END $$;

CREATE FUNCTION errand.unblock_all(p_seqs int8[], p_states int2[], p_batch int8multirange, p_outputs text[], p_now int8)
  RETURNS errand.done LANGUAGE plpgsql AS $$
DECLARE
  v_held record;
  v_locked int8multirange;
  v_aside int8multirange;
  v_ids uuid[];
  v_free int8[];
  v_outputs text[] := p_outputs;
  v_due bool;
BEGIN
  v_held := errand.hold_dependants(p_seqs);
  v_locked := v_held.locked;
  SELECT coalesce(range_agg(int8range(u.seq, u.seq + 1)) FILTER (WHERE is_aside), '{}'), array_agg(u.id) FILTER (WHERE NOT is_aside)
  INTO v_aside, v_ids FROM (
    SELECT u.seq, j.id, bool_or(NOT v_locked @> n.seq OR (u.state <> 4 AND n.ends_as IS NOT NULL)) AS is_aside
    FROM unnest(p_seqs, p_states) u (seq, state)
      CROSS JOIN LATERAL (SELECT id FROM errand.jobs WHERE jobs.seq = u.seq OFFSET 0) j
      CROSS JOIN LATERAL (SELECT seq, ends_as FROM errand.needs WHERE need = j.id OFFSET 0) n
    GROUP BY u.seq, j.id) u;
  IF v_ids IS NULL THEN RETURN (v_aside, false)::errand.done; END IF;
  IF v_held.wants THEN
    IF p_batch IS NOT NULL THEN
      SELECT array_agg(output ORDER BY seq) INTO v_outputs
      FROM unnest(ARRAY(SELECT generate_series(lower(r), upper(r) - 1) AS seq FROM unnest(p_batch) r ORDER BY seq), p_outputs) u (seq, output)
      WHERE seq = ANY (p_seqs);
    END IF;
    INSERT INTO errand.outputs (group_id, id, state, codec, output)
    SELECT DISTINCT ON (d.group_id, j.id) d.group_id, j.id, u.state, j.codec, u.output
    FROM unnest(p_seqs, p_states, v_outputs) u (seq, state, output)
      CROSS JOIN LATERAL (SELECT id, codec FROM errand.jobs WHERE jobs.seq = u.seq OFFSET 0) j
      CROSS JOIN LATERAL (SELECT seq FROM errand.needs WHERE need = j.id OFFSET 0) n
      CROSS JOIN LATERAL (SELECT group_id FROM errand.jobs WHERE jobs.seq = n.seq AND wants IS NOT NULL OFFSET 0) d
    WHERE NOT v_aside @> u.seq ORDER BY d.group_id, j.id
    ON CONFLICT (group_id, id) DO UPDATE SET state = excluded.state, codec = excluded.codec, output = excluded.output;
  END IF;
  IF NOT v_held.is_odd THEN
    v_due := errand.line_up_met(v_ids, v_locked, p_now);
    RETURN (v_aside, v_due)::errand.done;
  END IF;
  WITH met AS (DELETE FROM errand.needs WHERE need = ANY (v_ids) AND v_locked @> seq RETURNING seq) SELECT array_agg(DISTINCT seq) INTO v_free FROM met;
  v_free := ARRAY(SELECT s FROM unnest(v_free) s WHERE (SELECT true FROM errand.needs n WHERE n.seq = s LIMIT 1) IS NULL
    AND (SELECT true FROM errand.running r WHERE r.seq = s LIMIT 1) IS NULL);
  IF v_free = '{}' THEN RETURN (v_aside, false)::errand.done; END IF;
  UPDATE errand.jobs SET place = greatest(due_at, p_now) - coalesce(head_start_ms, 0)
  WHERE seq = ANY (v_free) AND place <> greatest(due_at, p_now) - coalesce(head_start_ms, 0);
  v_free := errand.line_up_odd(v_free, p_now);
  PERFORM errand.line_up_all(v_free);
  INSERT INTO errand.tally (queue, state, count)
  SELECT queue, t.state, t.change * count(*) FROM errand.jobs CROSS JOIN (VALUES (0::int2, -1), (2::int2, 1)) t (state, change)
  WHERE seq = ANY (v_free) GROUP BY 1, 2, t.change;
  RETURN (v_aside, true)::errand.done;
END $$;

CREATE FUNCTION errand.line_up_met(p_ids uuid[], p_locked int8multirange, p_now int8) RETURNS bool LANGUAGE plpgsql AS $$
BEGIN
  WITH met AS (DELETE FROM errand.needs WHERE need = ANY (p_ids) AND p_locked @> seq RETURNING seq),
  freed AS (
    UPDATE errand.jobs j SET place = greatest(j.due_at, p_now) - coalesce(j.head_start_ms, 0)
    WHERE j.seq = ANY (ARRAY(SELECT DISTINCT m.seq FROM met m
      WHERE (SELECT true FROM errand.needs n WHERE n.seq = m.seq AND n.need <> ALL (p_ids) LIMIT 1) IS NULL
        AND (SELECT true FROM errand.running r WHERE r.seq = m.seq LIMIT 1) IS NULL))
    RETURNING j.seq, j.queue, j.priority, j.place, errand.is_special(j) AS special),
  lined_up AS (
    INSERT INTO errand.ready (queue, priority, place, first, last, special)
    SELECT queue, priority, place, min(seq), max(seq), special FROM (
      SELECT *, CASE WHEN special THEN -seq ELSE seq - row_number() OVER (PARTITION BY queue, priority, place, special ORDER BY seq) END AS stretch
      FROM freed) f
    GROUP BY queue, priority, place, special, stretch ORDER BY min(seq)
    RETURNING queue, last - first + 1 AS count)
  INSERT INTO errand.tally (queue, state, count)
  SELECT queue, t.state, t.change * sum(count) FROM lined_up CROSS JOIN (VALUES (0::int2, -1), (2::int2, 1)) t (state, change) GROUP BY 1, 2, t.change;
  RETURN FOUND;
END $$;

CREATE FUNCTION errand.line_up_odd(p_seqs int8[], p_now int8) RETURNS int8[] LANGUAGE plpgsql AS $$
DECLARE
  v_job errand.jobs;
  v_state int;
  v_rest int8[] := '{}';
BEGIN
  FOR v_job IN SELECT * FROM errand.jobs WHERE seq = ANY (p_seqs) ORDER BY unique_key, seq LOOP
    v_state := CASE WHEN v_job.due_at > p_now THEN 1 ELSE 2 END;
    IF v_state = 1 OR v_job.suspect THEN
      PERFORM errand.line_up(v_job, v_state);
      PERFORM errand.tallied(v_job.queue, 0, v_state);
    ELSE
      v_rest := v_rest || v_job.seq;
    END IF;
    PERFORM errand.rekey(v_job.unique_key, v_job.id, v_job.unique_during, v_job.unique_until, v_state, p_now);
  END LOOP;
  RETURN v_rest;
END $$;
`
