/**
 * How a call of `insert` goes: its records first, then its jobs, at one go or apart, and once more
 * when its answer was lost.
 */
import { forgottenState } from './errors.ts'
import { givenColumns, givenNames } from './job-columns.ts'
import { apartPatienceMs, planned } from './plan-settings.ts'

/** How far the server's clock may be set while an answer is waited for, in ms. */
const clockStepMs = 1_000
/**
 * How late a repeat may arrive and still tell what was removed before it was sent, in ms: erasures
 * are kept for twice as long.
 */
const latestMs = 60_000
/** What `insert_apart` raises to take back an attempt. */
const tornState = 'UF003'

/** What `insert_ahead` reads of a job. */
const aheadColumns = [
  { name: 'id', type: 'uuid' },
  ...givenColumns,
  { name: 'delayMs', type: 'int8' },
  { name: 'runAt', type: 'int8' },
  { name: 'ahead', type: 'bool' },
]

/**
 * `insert` takes any jobs. Records move first: `advance` writes them in the order of their keys, so
 * that two calls do not wait for each other, and returns the jobs of those that moved, that were
 * not where they should be, and that somebody holds. Then come the jobs, in `insert_pass`, one
 * after the other: those with unique keys in the order of their keys, for the same reason; of
 * several with one key the first wins. Where jobs need others, which may be among them, or one is
 * named twice, they come as they stand. Ordinary ones among them join their lines at the end, in
 * runs: a claim takes a run at a time.
 *
 * Ordinary jobs that are marked as `ahead` come before all others, by `insert_ahead`, with one
 * statement per table: the caller marks them where no job that stands before them needs them.
 * Where nothing but jobs is inserted, and not in a user's transaction, `insert_mixed` takes its place.
 *
 * Apart, each record and each job is a step of its own: one that needs what a transaction of a user
 * holds is `held`, and so are those of the call that need it in turn; the others are inserted. This
 * costs a subtransaction for each, so it is done only once a call at one go has met such a row. If
 * a job is held whose record has moved, the attempt is `torn`: `insert_apart` takes it back and
 * makes another that leaves that record and its jobs alone. Each attempt leaves at least one more
 * alone; all of them wait no longer than one would.
 *
 * `insert_again` is for a call that is sent again because its answer was lost. When it adds jobs,
 * or finds a record moved that theirs was to move, either it was not carried out before, or it was
 * and they have ended and nothing keeps them: where something was removed since it was first sent
 * that cannot be told apart, and it adds nothing. It may itself arrive late, so the time at which
 * it was sent comes with it. What it repeats may arrive after it, when its jobs have ended and are
 * forgotten, or its record has moved back: so it leaves their ids in `repeats`, for
 * `refuse_repeats` and `insert` to find.
 */
export const intakeFunctions: string = `
CREATE FUNCTION errand.insert(p_jobs json, p_advances json, p_hint text, p_apart bool DEFAULT false)
  RETURNS text LANGUAGE plpgsql ${planned} AS $$
DECLARE
  v_now int8 := errand.now_ms();
  v_seqs int8[] := ARRAY(SELECT nextval('errand.seqs') FROM json_array_elements(p_jobs));
  v_pass record;
BEGIN
  -- A unique key or a record may be held by a transaction of a user that is still open.
  IF p_hint IS NULL THEN PERFORM set_config('lock_timeout', errand.call_patience(), true); END IF;
  IF p_apart THEN
    v_pass := errand.insert_apart(p_jobs, p_advances, v_seqs, v_now);
  ELSE
    v_pass := errand.insert_pass(p_jobs, p_advances, v_seqs, v_now, '{}', NULL);
  END IF;
  PERFORM 1 FROM errand.repeats LIMIT 1;
  IF FOUND THEN
    PERFORM errand.refuse_repeats(ARRAY(SELECT (value->>'id')::uuid FROM json_array_elements(p_jobs)),
      v_seqs);
  END IF;
  IF v_pass.moved <> '{}' AND EXISTS (SELECT 1 FROM errand.repeats WHERE id = ANY (v_pass.moved))
    THEN
    RAISE EXCEPTION 'this advance arrived after its own repeat' USING ERRCODE = '${forgottenState}';
  END IF;
  IF p_hint IS NOT NULL THEN
    PERFORM errand.tell(p_hint);
    IF v_pass.moved <> '{}' THEN PERFORM errand.tell('record'); END IF;
  END IF;
  RETURN array_to_json(v_pass.answers)::text;
END $$;

CREATE FUNCTION errand.insert_apart(p_jobs json, p_advances json, p_seqs int8[], p_now int8,
  OUT answers json[], OUT moved uuid[]) LANGUAGE plpgsql AS $$
DECLARE
  v_waits_until timestamptz := clock_timestamp() + interval '${apartPatienceMs} ms';
  v_left uuid[] := '{}';
  v_pass record;
BEGIN
  LOOP
    BEGIN
      v_pass := errand.insert_pass(p_jobs, p_advances, p_seqs, p_now, v_left, v_waits_until);
      answers := v_pass.answers;
      moved := v_pass.moved;
      IF v_pass.torn = '{}' THEN RETURN; END IF;
      RAISE EXCEPTION USING ERRCODE = '${tornState}';
    EXCEPTION WHEN SQLSTATE '${tornState}' THEN
      v_left := v_left || v_pass.torn;
    END;
  END LOOP;
END $$;

CREATE FUNCTION errand.insert_pass(p_jobs json, p_advances json, p_seqs int8[], p_now int8,
  p_left uuid[], p_waits_until timestamptz,
  OUT answers json[], OUT moved uuid[], OUT torn uuid[]) LANGUAGE plpgsql AS $$
DECLARE
  v_named record;
  v_stale uuid[] := '{}';
  v_held uuid[] := '{}';
  v_joins bool;
  v_joining int8[] := '{}';
  v_ahead bool := p_waits_until IS NULL AND EXISTS (SELECT 1 FROM json_array_elements(p_jobs) WHERE value->'ahead' IS NOT NULL);
  v_first record;
  v_values json[];
  v_places int8[];
  v_as_given bool;
BEGIN
  answers := array_fill(NULL::json, ARRAY[cardinality(p_seqs)]);
  moved := '{}';
  torn := '{}';
  IF p_advances IS NOT NULL THEN SELECT * INTO moved, v_stale, v_held
    FROM errand.advance(p_advances, p_left, p_waits_until); END IF;
  IF v_ahead THEN
    v_first := errand.insert_ahead(p_jobs, v_stale, p_seqs, p_now);
    FOR v_named IN SELECT * FROM unnest(v_first.places, v_first.ids) u (o, id) LOOP
      answers[v_named.o] := CASE WHEN v_first.known THEN errand.known_of(v_named.id)
        ELSE json_build_array(v_named.id, 'created', NULL) END;
    END LOOP;
  END IF;
  SELECT array_agg(value), array_agg(o) INTO v_values, v_places
  FROM json_array_elements(p_jobs) WITH ORDINALITY j (value, o)
  WHERE NOT v_ahead OR value->'ahead' IS NULL OR (value->>'id')::uuid = ANY (v_stale);
  v_as_given := (SELECT count(*) > count(DISTINCT value->>'id')
    OR bool_or(json_array_length(value->'needs') > 0) FROM unnest(v_values) value);
  FOR v_named IN
    SELECT value, o, (value->>'id')::uuid AS id FROM unnest(v_values, v_places) j (value, o)
    ORDER BY CASE WHEN NOT v_as_given AND json_typeof(value->'unique') = 'object'
      THEN value->'unique'->>'key' END NULLS FIRST, o
  LOOP
    IF v_named.id = ANY (v_stale) THEN
      answers[v_named.o] := CASE WHEN EXISTS (SELECT 1 FROM errand.jobs WHERE id = v_named.id)
        THEN errand.known_of(v_named.id)
        ELSE json_build_array(v_named.id, 'stale', NULL) END;
    ELSIF p_waits_until IS NULL THEN
      v_joins := cardinality(p_seqs) > 1 AND errand.is_ordinary(v_named.value);
      answers[v_named.o] := errand.insert_one(v_named.value, p_seqs[v_named.o], p_now, NOT v_joins);
      IF v_joins AND answers[v_named.o]->>1 = 'created' THEN
        v_joining := v_joining || p_seqs[v_named.o];
      END IF;
    ELSE
      answers[v_named.o] := CASE WHEN v_named.id = ANY (v_held) OR EXISTS (
          SELECT 1 FROM json_array_elements(v_named.value->'needs') n (value)
            WHERE (n.value->>'id')::uuid = ANY (v_held))
        THEN errand.held_of(v_named.value)
        ELSE errand.insert_one_apart(v_named.value, p_seqs[v_named.o], p_now,
          errand.ms_until(p_waits_until)) END;
      IF answers[v_named.o]->>1 = 'held' THEN v_held := v_held || v_named.id; END IF;
    END IF;
  END LOOP;
  IF v_joining <> '{}' THEN PERFORM errand.line_up_new(v_joining, p_now); END IF;
  IF v_held = '{}' OR moved = '{}' THEN RETURN; END IF;
  torn := ARRAY(
    SELECT job::uuid FROM json_array_elements(p_advances) a (value),
      json_array_elements_text(a.value->'jobs') job
    WHERE EXISTS (SELECT 1 FROM json_array_elements_text(a.value->'jobs') one
      WHERE one::uuid = ANY (v_held) AND one::uuid = ANY (moved)));
END $$;

CREATE FUNCTION errand.insert_ahead(p_jobs json, p_stale uuid[], p_seqs int8[], p_now int8,
  OUT places int[], OUT ids uuid[], OUT known bool) LANGUAGE plpgsql AS $$
DECLARE
  v_seqs int8[];
  v_added int8;
BEGIN
  WITH given AS MATERIALIZED (
    SELECT p_seqs[o] AS number, g.*, coalesce(g."runAt", p_now + g."delayMs") AS due
    FROM ROWS FROM (json_to_recordset(p_jobs) AS (${aheadColumns.map(({ name, type }) => `"${name}" ${type}`).join(', ')}))
      WITH ORDINALITY g (${aheadColumns.map(({ name }) => `"${name}"`).join(', ')}, o)
    WHERE g.ahead AND g.id <> ALL (p_stale)),
  added AS (
    INSERT INTO errand.jobs (seq, id, created_at, due_at, place, ${givenNames})
    SELECT g.number, g.id, p_now, g.due, g.due, ${givenColumns.map(({ name }) => `g.${name}`).join(', ')}
    FROM given g ORDER BY g.number ON CONFLICT (id) DO NOTHING RETURNING seq)
  SELECT array_agg(g.o::int ORDER BY g.o), array_agg(g.id ORDER BY g.o), array_agg(g.number), (SELECT count(*) FROM added)
  INTO places, ids, v_seqs, v_added FROM given g;
  known := v_added < cardinality(v_seqs);
  -- Of one that was known already nothing has its number.
  PERFORM errand.line_up_new(v_seqs, p_now);
END $$;

CREATE FUNCTION errand.advance(p_advances json, p_left uuid[], p_waits_until timestamptz,
  OUT moved uuid[], OUT stale uuid[], OUT held uuid[]) LANGUAGE plpgsql AS $$
DECLARE
  v_named record;
  v_moved bool;
BEGIN
  moved := '{}';
  stale := '{}';
  held := '{}';
  FOR v_named IN
    SELECT value->>'key' AS key, value->>'from' AS "from", value->>'to' AS "to",
      ARRAY(SELECT json_array_elements_text(value->'jobs')::uuid) AS jobs
    FROM json_array_elements(p_advances) ORDER BY value->>'key' COLLATE "C"
  LOOP
    v_moved := CASE WHEN v_named.jobs && p_left THEN NULL
      WHEN p_waits_until IS NULL THEN errand.put_record(v_named.key, v_named."to", v_named."from",
        false)
      ELSE errand.put_record_apart(v_named.key, v_named."to", v_named."from",
        errand.ms_until(p_waits_until)) END;
    IF v_moved THEN
      moved := moved || v_named.jobs;
    ELSIF v_moved IS NULL THEN
      held := held || v_named.jobs;
    ELSE
      stale := stale || v_named.jobs;
    END IF;
  END LOOP;
END $$;

CREATE FUNCTION errand.put_record_apart(p_key text, p_text text, p_if text, p_patience_ms int)
  RETURNS bool LANGUAGE plpgsql
SET lock_timeout = ${apartPatienceMs} AS $$
BEGIN
  PERFORM set_config('lock_timeout', p_patience_ms::text, true);
  RETURN errand.put_record(p_key, p_text, p_if, false);
EXCEPTION WHEN lock_not_available THEN RETURN NULL;
END $$;

CREATE FUNCTION errand.insert_one_apart(p json, p_seq int8, p_now int8, p_patience_ms int)
  RETURNS json LANGUAGE plpgsql
SET lock_timeout = ${apartPatienceMs} AS $$
BEGIN
  PERFORM set_config('lock_timeout', p_patience_ms::text, true);
  RETURN errand.insert_one(p, p_seq, p_now);
EXCEPTION WHEN lock_not_available THEN RETURN errand.held_of(p);
END $$;

CREATE FUNCTION errand.held_of(p json) RETURNS json LANGUAGE sql IMMUTABLE AS $$
  SELECT json_build_array((p->>'id')::uuid, 'held', NULL)
$$;

CREATE FUNCTION errand.insert_again(p_jobs json, p_advances json, p_sent_at int8, p_since_ms int8)
  RETURNS text LANGUAGE plpgsql ${planned} AS $$
DECLARE
  v_now int8 := errand.now_ms();
  v_ids uuid[] := ARRAY(SELECT (value->>'id')::uuid FROM json_array_elements(p_jobs));
  v_known int8 := (SELECT count(*) FROM errand.jobs WHERE id = ANY (v_ids));
  v_answers text := errand.insert(p_jobs, p_advances, NULL);
BEGIN
  IF v_now - p_sent_at > ${latestMs} OR EXISTS (SELECT 1 FROM errand.erasures
    WHERE at >= p_sent_at - p_since_ms - ${clockStepMs} LIMIT 1) THEN
    IF (SELECT count(*) FROM errand.jobs WHERE id = ANY (v_ids)) > v_known
      OR v_answers LIKE '%"stale"%' THEN
      RAISE EXCEPTION 'jobs of this insert may have been forgotten'
        USING ERRCODE = '${forgottenState}';
    END IF;
  END IF;
  INSERT INTO errand.repeats (id, at) SELECT DISTINCT id, v_now FROM unnest(v_ids) id ORDER BY id
    ON CONFLICT (id) DO NOTHING;
  PERFORM errand.tell('work');
  RETURN v_answers;
END $$;
`
