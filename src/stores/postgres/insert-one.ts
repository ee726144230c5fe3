/**
 * How one job is inserted that is not of the ordinary kind: its needs, its unique key, the way it
 * enters.
 */
import { givenColumns, replacedNames } from './job-columns.ts'
import { FAILED } from '../state-codes.ts'

/** What `replace` writes beside the columns that the new job gives. */
const rewritten = [
  'due_at, place, start_by, deadline_at, start_within_ms, deadline_ms, unique_key, unique_during, unique_until, head_start_ms, counters, suspect',
  ...replacedNames,
].join(', ')

/**
 * `open_needs` returns which needs are open as yet; for a need that failed, the state in which the
 * job ends, and none. A need that is named twice counts as it stood last. A job that waits for
 * others is doubted until `recheck` has seen that none of them ended while the insert was under
 * way; not where all of them were inserted by the same transaction.
 *
 * `hold` lets blocked jobs wait for a new one as well: it locks each, as an end does that releases it.
 *
 * `insert_one` returns the answer to one insert. A conflict is first looked for without a lock, so
 * that an insert in somebody's transaction does not hold the key of another job; the primary key of
 * `uniques` decides between those who saw none. The job is written before its key: of two inserts
 * of one id the one that comes late must take no key, for the job may have none. A job that enters
 * as failed takes no key, and stands in history alone. With `p_lines_up` false the caller brings the
 * job into its line and counts it, which it may do for one that `is_ordinary` and was created:
 * nothing else in the call looks for such a job in its line.
 *
 * `replace` locks the holder of the key, then the table that names it, as everybody does who
 * changes one job.
 */
export const insertingFunctions: string = `
CREATE FUNCTION errand.open_needs(p_id uuid, p_group text, p_needs json, OUT open uuid[], OUT ends_as int)
  LANGUAGE plpgsql AS $$
DECLARE
  v_need record;
  v_state int;
BEGIN
  open := '{}';
  FOR v_need IN
    SELECT (value->>'id')::uuid AS id, (array_agg(value->>'endsAs'
      ORDER BY o DESC))[1]::int AS ends_as
    FROM json_array_elements(p_needs) WITH ORDINALITY n (value, o) GROUP BY 1 ORDER BY min(o)
  LOOP
    v_state := CASE WHEN v_need.id = p_id THEN NULL ELSE
      coalesce(errand.need_state(v_need.id, NULL), errand.kept_state(p_group, v_need.id)) END;
    IF v_state = -1 THEN
      open := open || v_need.id;
    ELSIF v_state IS DISTINCT FROM 4 AND v_need.ends_as IS NOT NULL THEN
      open := '{}';
      ends_as := v_need.ends_as;
      RETURN;
    END IF;
  END LOOP;
END $$;

CREATE FUNCTION errand.known_of(p_id uuid) RETURNS json LANGUAGE sql VOLATILE AS $$
  SELECT json_build_array(p_id, 'created', (SELECT r.token FROM errand.jobs j JOIN errand.running r
    ON r.seq = j.seq WHERE j.id = p_id AND r.born))
$$;

CREATE FUNCTION errand.is_ordinary(p json) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  RETURN json_array_length(p->'needs') = 0 AND p->>'unique' IS NULL AND p->>'entry' IS NULL
    AND p->>'startWithinMs' IS NULL AND p->>'deadlineMs' IS NULL;
END $$;

CREATE FUNCTION errand.insert_one(p json, p_seq int8, p_now int8, p_lines_up bool DEFAULT true)
  RETURNS json LANGUAGE plpgsql AS $$
DECLARE
  v_job errand.jobs;
  v_unique json := CASE WHEN json_typeof(p->'unique') = 'object' THEN p->'unique' END;
  v_entry json := CASE WHEN json_typeof(p->'entry') = 'object' THEN p->'entry' END;
  v_runs bool := coalesce(v_entry->>'kind' = 'running', false);
  v_failed bool := coalesce(v_entry->>'kind' = 'failed', false);
  v_open uuid[] := '{}';
  v_ends_as int;
  v_state int;
  v_holder uuid;
  v_held bool;
  v_replaced bool;
  v_token int8;
BEGIN
  v_job.seq := p_seq;
  v_job.id := p->>'id';
  ${givenColumns.map(({ name }) => `v_job.${name} := p->>'${name}';`).join('\n  ')}
  v_job.created_at := p_now;
  v_job.due_at := coalesce((p->>'runAt')::int8, p_now + (p->>'delayMs')::int8);
  v_job.head_start_ms := p->>'headStartMs';
  v_job.place := v_job.due_at - coalesce(v_job.head_start_ms, 0);
  v_job.start_within_ms := p->>'startWithinMs';
  v_job.deadline_ms := p->>'deadlineMs';
  v_job.start_by := v_job.due_at + v_job.start_within_ms;
  v_job.deadline_at := p_now + v_job.deadline_ms;
  v_job.unique_key := v_unique->>'key';
  v_job.unique_during := v_unique->>'during';
  v_job.unique_until := CASE WHEN v_unique IS NOT NULL
    THEN coalesce(p_now + (v_unique->>'forMs')::int8, 0) END;
  v_job.wants := errand.wants_of(p->'needs');
  v_job.suspect := false;
  v_job.token := 0;
  IF v_entry->>'attempt' IS NOT NULL THEN v_job.attempts := ARRAY[v_entry->>'attempt']; END IF;
  IF v_failed THEN v_unique := NULL; END IF;

  FOR attempt IN 1..101 LOOP
    IF attempt = 101 THEN RAISE serialization_failure USING
      MESSAGE = 'the key of job ' || v_job.id || ' keeps moving'; END IF;
    PERFORM 1 FROM errand.jobs WHERE id = v_job.id;
    IF FOUND THEN RETURN errand.known_of(v_job.id); END IF;
    IF json_array_length(p->'needs') > 0 THEN SELECT * INTO v_open, v_ends_as
      FROM errand.open_needs(v_job.id, v_job.group_id, p->'needs'); END IF;
    v_state := CASE WHEN v_runs THEN 3 WHEN v_failed THEN ${FAILED} WHEN v_ends_as IS NOT NULL
      OR v_open <> '{}' THEN 0
      WHEN v_job.due_at > p_now THEN 1 ELSE 2 END;
    v_holder := CASE WHEN v_unique IS NOT NULL THEN errand.holder_of(v_job.unique_key, p_now) END;
    IF v_holder IS NULL THEN
      INSERT INTO errand.jobs SELECT (v_job).* ON CONFLICT (id) DO NOTHING;
      CONTINUE WHEN NOT FOUND;
      EXIT WHEN v_unique IS NULL;
      v_held := errand.lists(v_job.unique_during, coalesce(v_ends_as, v_state));
      EXIT WHEN NOT v_held AND v_job.unique_until <= p_now;
      EXIT WHEN errand.take_key(v_job.unique_key, v_job.id, v_held, v_job.unique_until, p_now);
      DELETE FROM errand.jobs WHERE seq = v_job.seq;
      CONTINUE;
    END IF;
    -- A key of its own is that of a job that was inserted just now, or of one that was removed while the key's time runs on.
    CONTINUE WHEN v_holder = v_job.id AND EXISTS (SELECT 1 FROM errand.jobs WHERE id = v_job.id);
    v_replaced := v_unique->>'onConflict' <> 'skip' AND errand.replace(v_holder, v_job,
      (v_unique->>'maxWaitMs')::int8, v_unique->>'onConflict' = 'replace-in-queue', p_now);
    CONTINUE WHEN NOT v_replaced AND errand.holder_of(v_job.unique_key, p_now) IS DISTINCT
      FROM v_holder;
    RETURN json_build_array(v_holder, CASE WHEN v_replaced THEN 'replaced' ELSE 'duplicate' END,
      NULL);
  END LOOP;

  IF json_array_length(p->'holds') > 0 THEN PERFORM errand.hold(v_job.id, p->'holds'); END IF;
  IF v_job.wants IS NOT NULL AND cardinality(v_open) < json_array_length(p->'needs') THEN
    PERFORM errand.keep_found(v_job.seq, (value->>'id')::uuid)
    FROM json_array_elements(p->'needs') WHERE value->>'output' IS NOT NULL;
  END IF;
  IF v_runs THEN
    v_token := errand.new_token();
    INSERT INTO errand.running (seq, token, worker, lease_until, started_at, born)
    VALUES (v_job.seq, v_token, v_entry->>'worker', p_now + (v_entry->>'leaseMs')::int8, p_now,
      true);
    PERFORM errand.tallied(v_job.queue, NULL, v_state);
  ELSIF v_failed THEN
    PERFORM errand.insert_failed(v_job, v_entry->>'reason', (v_entry->>'keepMs')::int8, p_now);
  ELSIF v_ends_as IS NOT NULL THEN
    PERFORM errand.tallied(v_job.queue, NULL, 0);
    PERFORM errand.end_waiting(v_job, 0, v_ends_as, 'need-failed', p_now);
    PERFORM errand.release(v_job, v_ends_as, v_job.keep_cancelled_ms, p_now);
  ELSE
    IF v_state = 0 THEN PERFORM errand.insert_needs(v_job.seq, p->'needs', v_open); END IF;
    IF p_lines_up THEN
      PERFORM errand.line_up(v_job, v_state);
      PERFORM errand.tallied(v_job.queue, NULL, v_state);
    END IF;
    PERFORM errand.bind(v_job);
  END IF;
  RETURN json_build_array(v_job.id, 'created', v_token);
END $$;

CREATE FUNCTION errand.hold(p_need uuid, p_holds json) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_hold record;
BEGIN
  FOR v_hold IN
    SELECT j.seq, (value->>'endsAs')::int2 AS ends_as, errand.wants_of(json_build_array(json_build_object('id', p_need,
      'endsAs', value->>'endsAs', 'output', value->>'output'))) AS wants
    FROM json_array_elements(p_holds) JOIN errand.jobs j ON j.id = (value->>'id')::uuid
    WHERE j.id <> p_need ORDER BY j.seq
  LOOP
    PERFORM 1 FROM errand.jobs WHERE seq = v_hold.seq FOR UPDATE;
    CONTINUE WHEN NOT FOUND OR errand.is_leased(v_hold.seq);
    PERFORM 1 FROM errand.needs WHERE seq = v_hold.seq LIMIT 1;
    CONTINUE WHEN NOT FOUND;
    INSERT INTO errand.needs (need, seq, ends_as) VALUES (p_need, v_hold.seq, v_hold.ends_as) ON CONFLICT DO NOTHING;
    UPDATE errand.jobs SET wants = (coalesce(wants, '[]')::jsonb || v_hold.wants::jsonb)::text
    WHERE seq = v_hold.seq AND v_hold.wants IS NOT NULL;
  END LOOP;
END $$;

CREATE FUNCTION errand.insert_needs(p_seq int8, p_needs json, p_open uuid[]) RETURNS void
  LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO errand.needs (need, seq, ends_as)
  SELECT DISTINCT ON (value->>'id') (value->>'id')::uuid, p_seq, (value->>'endsAs')::int2
  FROM json_array_elements(p_needs) WITH ORDINALITY n (value, o)
    WHERE (value->>'id')::uuid = ANY (p_open) ORDER BY value->>'id', o DESC;
  -- What this transaction has inserted itself nobody else can end before it commits.
  INSERT INTO errand.doubts (seq) SELECT p_seq WHERE EXISTS (
    SELECT 1 FROM unnest(p_open) o (id) CROSS JOIN LATERAL (SELECT xmin FROM errand.jobs WHERE jobs.id = o.id OFFSET 0) j
    WHERE j.xmin <> pg_current_xact_id()::xid);
END $$;

CREATE FUNCTION errand.insert_failed(p_job errand.jobs, p_reason text, p_keep int8, p_now int8)
  RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO errand.finished (bucket, seq, state, finished_at, keep_ms, token, reason)
  VALUES (errand.bucket_of(p_now, p_keep), p_job.seq, ${FAILED}, p_now, p_keep, 0, p_reason);
  PERFORM errand.tallied(p_job.queue, NULL, ${FAILED});
  IF p_keep <= 0 THEN PERFORM errand.erase(p_job, ${FAILED}, false, p_now); END IF;
END $$;

CREATE FUNCTION errand.replace(p_holder uuid, p_job errand.jobs, p_max_wait_ms int8, p_in_queue bool,
  p_now int8) RETURNS bool LANGUAGE plpgsql AS $$
DECLARE
  v_old errand.jobs;
  v_job errand.jobs := p_job;
  v_from int;
  v_state int;
BEGIN
  SELECT * INTO v_old FROM errand.jobs WHERE id = p_holder;
  IF NOT FOUND OR errand.is_leased(v_old.seq) THEN RETURN false; END IF;
  SELECT * INTO v_old FROM errand.jobs WHERE id = p_holder FOR UPDATE;
  -- Whoever was waited for may have released the key.
  IF NOT FOUND OR errand.holder_of(p_job.unique_key, p_now) IS DISTINCT FROM p_holder
    OR p_in_queue AND v_old.queue <> p_job.queue THEN RETURN false; END IF;
  v_from := errand.take_out(v_old);
  IF v_from > 2 THEN RETURN false; END IF;
  v_job.seq := v_old.seq;
  v_job.id := v_old.id;
  v_job.task := v_old.task;
  v_job.created_at := v_old.created_at;
  -- One that is replaced again and again gets its turn.
  v_job.due_at := least(p_job.due_at, CASE WHEN p_max_wait_ms IS NOT NULL THEN greatest(p_now,
    v_old.created_at + p_max_wait_ms) END);
  v_job.place := CASE WHEN v_job.due_at <= p_now THEN least(v_old.place + coalesce(v_old.head_start_ms, 0), v_job.due_at)
    ELSE v_job.due_at END - coalesce(v_job.head_start_ms, 0);
  v_job.start_by := v_job.due_at + p_job.start_within_ms;
  v_state := CASE WHEN v_from = 0 THEN 0 WHEN v_job.due_at > p_now THEN 1 ELSE 2 END;
  UPDATE errand.jobs SET (${rewritten}) = (SELECT ${rewritten
    .split(', ')
    .map((name) => `v_job.${name}`)
    .join(', ')}) WHERE seq = v_old.seq;
  PERFORM errand.unbind(v_old);
  PERFORM errand.line_up(v_job, v_state);
  PERFORM errand.bind(v_job);
  PERFORM errand.tallied(v_old.queue, v_from, NULL);
  PERFORM errand.tallied(v_job.queue, NULL, v_state);
  PERFORM errand.rekey(v_job.unique_key, v_job.id, v_job.unique_during, v_job.unique_until, v_state,
    p_now);
  RETURN true;
END $$;
`
