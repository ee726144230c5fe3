/** Which finished jobs have been kept long enough, and their removal in chunks. */
import { workerRecordKeptMs } from '../bounds.ts'
import { COMPLETED } from '../state-codes.ts'
import type { Database } from './database.ts'
import { bounded } from './arrays.ts'
import { ringDays } from './tables.ts'
import { planned } from './plan-settings.ts'

/** How many keys that were left over one call removes. */
const leftOverKeys = 10_000

/**
 * `keeps` answers how long jobs are kept, each length once: it jumps from one to the next in the index (keep_ms, finished_at).
 *
 * `erase_all` removes jobs, once they are locked, that are still as they were seen: an operator may just have retried one.
 *
 * `prune` removes finished jobs: first those beyond their retention, then the oldest beyond the newest `p_cap`; each length of keeping is
 * a walk of that index from its beginning. Jobs and keys that others hold are left for the next time. A partition whose day is over
 * and that holds nothing any more is emptied, which gives its space back, unless somebody uses it just
 * then; it is looked at once more under the lock, since jobs that are kept for long are filed there too.
 */
export const retentionFunctions: string = `
CREATE FUNCTION errand.keeps() RETURNS SETOF int8 LANGUAGE sql STABLE AS $$
  WITH RECURSIVE keeps (ms) AS (
    SELECT least((SELECT min(keep_ms) FROM errand.finished), (SELECT min(keep_ms) FROM errand.batches))
    UNION ALL SELECT least((SELECT min(keep_ms) FROM errand.finished WHERE keep_ms > ms), (SELECT min(keep_ms) FROM errand.batches WHERE keep_ms > ms))
    FROM keeps WHERE ms IS NOT NULL)
  SELECT ms FROM keeps WHERE ms IS NOT NULL
$$;

CREATE FUNCTION errand.needs_prune(p_now int8) RETURNS bool LANGUAGE plpgsql AS $$
DECLARE
  v_keep int8;
BEGIN
  FOR v_keep IN SELECT errand.keeps() LOOP
    PERFORM 1 FROM errand.finished WHERE keep_ms = v_keep AND finished_at <= p_now - v_keep LIMIT 1;
    IF FOUND THEN RETURN true; END IF;
    PERFORM 1 FROM errand.batches WHERE keep_ms = v_keep AND finished_at <= p_now - v_keep LIMIT 1;
    IF FOUND THEN RETURN true; END IF;
  END LOOP;
  RETURN false;
END $$;

CREATE TYPE errand.ended AS (finished_at int8, seq int8);

CREATE FUNCTION errand.erase_all(p_ended errand.ended[], p_now int8) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
  v_seqs int8[];
  v_job record;
BEGIN
  IF cardinality(p_ended) = 0 THEN RETURN 0; END IF;
  SELECT array_agg(seq) INTO v_seqs FROM (
    SELECT seq FROM errand.jobs WHERE seq = ANY (ARRAY(SELECT seq FROM unnest(p_ended))) ORDER BY seq FOR UPDATE SKIP LOCKED) j;
  SELECT array_agg(e.seq) INTO v_seqs FROM unnest(p_ended) e WHERE e.seq = ANY (v_seqs) AND (
    EXISTS (SELECT 1 FROM errand.finished f WHERE f.seq = e.seq AND f.finished_at = e.finished_at)
    OR EXISTS (SELECT 1 FROM errand.batches b WHERE b.seqs @> e.seq));
  WITH gone AS (DELETE FROM errand.finished WHERE seq = ANY (v_seqs) RETURNING seq, state)
  INSERT INTO errand.tally (queue, state, count)
  SELECT j.queue, coalesce(g.state, 4), -count(*) FROM errand.jobs j LEFT JOIN gone g ON g.seq = j.seq WHERE j.seq = ANY (v_seqs) GROUP BY 1, 2;
  FOR v_job IN SELECT unique_key, id FROM errand.jobs WHERE seq = ANY (v_seqs) AND unique_key IS NOT NULL ORDER BY unique_key LOOP
    PERFORM errand.drop_key(v_job.unique_key, v_job.id, true, p_now);
  END LOOP;
  DELETE FROM errand.jobs WHERE seq = ANY (v_seqs);
  PERFORM errand.drop_traces(v_seqs);
  PERFORM errand.drop_empty_batches(v_seqs);
  PERFORM errand.erased(p_now);
  RETURN coalesce(cardinality(v_seqs), 0);
END $$;

CREATE FUNCTION errand.batched(p_keep int8, p_limit int) RETURNS SETOF errand.ended LANGUAGE plpgsql AS $$
BEGIN
  RETURN QUERY SELECT b.finished_at, j.seq
    FROM (SELECT * FROM errand.batches WHERE keep_ms = p_keep OR (keep_ms IS NULL AND p_keep IS NULL) ORDER BY finished_at) b,
      unnest(b.seqs) s JOIN errand.jobs j ON j.seq >= lower(s) AND j.seq < upper(s)
    LIMIT p_limit;
END $$;

CREATE FUNCTION errand.erase_batches(p_keep int8, p_until int8, p_limit int, p_now int8) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
  v_batch record;
  v_ended errand.ended[];
  v_removed int := 0;
BEGIN
  FOR v_batch IN SELECT ctid, seqs, finished_at FROM errand.batches WHERE keep_ms = p_keep AND finished_at <= p_until
    ORDER BY finished_at LIMIT p_limit FOR UPDATE SKIP LOCKED
  LOOP
    EXIT WHEN v_removed >= p_limit;
    v_ended := ARRAY(SELECT (v_batch.finished_at, j.seq)::errand.ended FROM unnest(v_batch.seqs) s JOIN errand.jobs j ON j.seq >= lower(s) AND j.seq < upper(s)
      LIMIT p_limit - v_removed);
    v_removed := v_removed + errand.erase_all(v_ended, p_now);
    DELETE FROM errand.batches b WHERE ctid = v_batch.ctid AND NOT EXISTS (
      SELECT 1 FROM unnest(v_batch.seqs) s JOIN errand.jobs j ON j.seq >= lower(s) AND j.seq < upper(s));
  END LOOP;
  RETURN v_removed;
END $$;

CREATE FUNCTION errand.prune(p_limit int, p_cap int8) RETURNS int LANGUAGE plpgsql ${planned} AS $$
DECLARE
  v_now int8 := errand.now_ms();
  v_keeps int8[] := ARRAY(SELECT errand.keeps());
  v_keep int8;
  v_finished int8;
  v_removed int := 0;
  v_excess int;
  v_oldest errand.ended[] := '{}';
BEGIN
  FOREACH v_keep IN ARRAY v_keeps LOOP
    EXIT WHEN v_removed >= p_limit;
    v_removed := v_removed + errand.erase_all(ARRAY(
      SELECT (finished_at, seq)::errand.ended FROM errand.finished WHERE keep_ms = v_keep AND finished_at <= v_now - v_keep
      ORDER BY finished_at LIMIT p_limit - v_removed), v_now);
    v_removed := v_removed + errand.erase_batches(v_keep, v_now - v_keep, p_limit - v_removed, v_now);
  END LOOP;
  SELECT coalesce(sum(count), 0) INTO v_finished FROM errand.tally WHERE state >= ${COMPLETED};
  v_excess := least(v_finished - p_cap, p_limit - v_removed);
  IF v_excess > 0 THEN
    FOREACH v_keep IN ARRAY v_keeps || NULL::int8 LOOP
      v_oldest := v_oldest || ARRAY(SELECT (finished_at, seq)::errand.ended FROM errand.finished
        WHERE keep_ms IS NOT DISTINCT FROM v_keep ORDER BY finished_at, seq LIMIT v_excess)
        || ARRAY(SELECT (finished_at, seq)::errand.ended FROM errand.batched(v_keep, v_excess));
    END LOOP;
    v_removed := v_removed + errand.erase_all(ARRAY(
      SELECT o FROM unnest(v_oldest) o ORDER BY o.finished_at, o.seq LIMIT v_excess), v_now);
  END IF;
  DELETE FROM errand.workers WHERE last_seen_at < v_now - ${workerRecordKeptMs};
  DELETE FROM errand.uniques WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM errand.uniques WHERE NOT held AND until <= v_now ORDER BY until LIMIT ${leftOverKeys} FOR UPDATE SKIP LOCKED));
  IF EXISTS (SELECT 1 FROM errand.outputs) THEN PERFORM errand.drop_outputs(); END IF;
  DELETE FROM errand.cancels c WHERE NOT errand.is_leased(c.seq);
  PERFORM errand.empty_past(v_now);
  RETURN v_removed;
END $$;

CREATE FUNCTION errand.empty_past(p_now int8) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_day int8 := p_now / 86400000 - 1;
  v_past text := 'errand.finished_' || (p_now / 86400000 - 1) % ${ringDays};
  v_any bool;
BEGIN
  IF (SELECT value FROM errand.meta WHERE name = 'emptied') >= v_day OR pg_relation_size(v_past::regclass) = 0 THEN RETURN; END IF;
  EXECUTE format('SELECT EXISTS (SELECT 1 FROM %s)', v_past) INTO v_any;
  IF v_any THEN RETURN; END IF;
  PERFORM set_config('lock_timeout', '20', true);
  EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', v_past);
  EXECUTE format('SELECT EXISTS (SELECT 1 FROM %s)', v_past) INTO v_any;
  IF v_any THEN RETURN; END IF;
  EXECUTE format('TRUNCATE %s', v_past);
  INSERT INTO errand.meta (name, value) VALUES ('emptied', v_day) ON CONFLICT (name) DO UPDATE SET value = excluded.value;
EXCEPTION WHEN lock_not_available OR insufficient_privilege THEN NULL;
END $$;
`

const PRUNE = `SELECT errand.prune($1, $2)`

/** Removes up to `limit` finished jobs beyond their retention or beyond the newest `cap`, and stale records of workers. */
export async function prune(
  db: Database,
  request: { readonly limit: number; readonly cap: number },
): Promise<{ removed: number; more: boolean }> {
  const removed = Number(await db.value(PRUNE, [bounded(request.limit), request.cap]))
  return { removed, more: removed === request.limit }
}
