/** New work: `insert`, and the follow-ups of settlements, which are inserts like any other. */
import { setTimeout } from 'node:timers/promises'
import type { Inserted } from '../../store/intake.ts'
import type { NewJob } from '../../store/job.ts'
import type { Again, Database } from './database.ts'
import { forgottenState, unknownOutcome } from './errors.ts'
import { add, isOrdinary } from './insert-plain.ts'
import { apartPatienceMs, planned } from './plan-settings.ts'
import { uuids } from './rows.ts'
import { packStates } from './states.ts'
import type { Caller } from './transactions.ts'

/** How far the server's clock may be set while an answer is waited for, in ms. */
const clockStepMs = 1_000
/** How late a repeat may arrive and still tell what was removed before it was sent, in ms: erasures are kept for twice as long. */
const latestMs = 60_000

/**
 * `insert` takes any job, one after the other. Those with keys come in the order of their keys, so that inserts of the same ones do not
 * wait for each other; of several with one key the first wins. Where jobs need others, which may be among them, or one is named
 * twice, they come as they stand.
 *
 * With `p_apart` each job is a step of its own: one that needs what a transaction of a user holds is `held`, and so are those of the call that
 * need it in turn; the others are inserted. This costs a subtransaction for each job, so it is done only once a call without has met such a row.
 *
 * `insert_again` is for a call that is sent again because its answer was lost. When it adds jobs, either it was not carried out before, or it was and
 * they have ended and nothing keeps them: where something was removed since it was first sent that cannot be told apart, and it adds nothing.
 * It may itself arrive late, so the time at which it was sent comes with it. What it repeats may arrive after it, when its jobs have
 * ended and are forgotten: so it leaves their ids in `repeats`, for `refuse_repeats` to find.
 *
 * `open_needs` answers which needs are open as yet, and null when one has failed that may not. A job that waits for others is doubted
 * until `recheck` has seen that none of them ended while the insert was under way.
 *
 * A conflict is first looked for without a lock, so that an insert in somebody's transaction does not hold the key of another job; the
 * primary key of `uniques` decides between those who saw none. The job is written before its key: of two inserts of one id the one that
 * comes late must take no key, for the job may have none.
 */
export const intakeFunctions: string = `
CREATE FUNCTION errand.insert(p_jobs json, p_hint text, p_apart bool DEFAULT false) RETURNS text LANGUAGE plpgsql ${planned} AS $$
DECLARE
  v_now int8 := errand.now_ms();
  v_waits_until timestamptz := clock_timestamp() + interval '${apartPatienceMs} ms';
  v_named record;
  v_held uuid[] := '{}';
  v_seqs int8[] := ARRAY(SELECT nextval('errand.seqs') FROM json_array_elements(p_jobs));
  v_as_given bool := (SELECT count(*) > count(DISTINCT value->>'id') OR bool_or(json_array_length(value->'needs') > 0) FROM json_array_elements(p_jobs));
  v_answers json[] := array_fill(NULL::json, ARRAY[cardinality(v_seqs)]);
BEGIN
  -- A unique key may be held by a transaction of a user that is still open.
  IF p_hint IS NULL THEN PERFORM set_config('lock_timeout', errand.call_patience(), true); END IF;
  FOR v_named IN
    SELECT value, o FROM json_array_elements(p_jobs) WITH ORDINALITY j (value, o)
    ORDER BY CASE WHEN NOT v_as_given AND json_typeof(value->'unique') = 'object' THEN value->'unique'->>'key' END NULLS FIRST, o
  LOOP
    IF NOT p_apart THEN
      v_answers[v_named.o] := errand.insert_one(v_named.value, v_seqs[v_named.o], v_now);
      CONTINUE;
    END IF;
    v_answers[v_named.o] := CASE WHEN EXISTS (
        SELECT 1 FROM json_array_elements(v_named.value->'needs') n (value) WHERE (n.value->>'id')::uuid = ANY (v_held))
      THEN errand.held_of(v_named.value)
      ELSE errand.insert_apart(v_named.value, v_seqs[v_named.o], v_now, errand.ms_until(v_waits_until)) END;
    IF v_answers[v_named.o]->>1 = 'held' THEN v_held := v_held || (v_named.value->>'id')::uuid; END IF;
  END LOOP;
  PERFORM errand.refuse_repeats(ARRAY(SELECT (value->>'id')::uuid FROM json_array_elements(p_jobs)), v_seqs);
  IF p_hint IS NOT NULL THEN PERFORM errand.tell(p_hint); END IF;
  RETURN array_to_json(v_answers)::text;
END $$;

CREATE FUNCTION errand.insert_apart(p json, p_seq int8, p_now int8, p_patience_ms int) RETURNS json LANGUAGE plpgsql
SET lock_timeout = ${apartPatienceMs} AS $$
BEGIN
  PERFORM set_config('lock_timeout', p_patience_ms::text, true);
  RETURN errand.insert_one(p, p_seq, p_now);
EXCEPTION WHEN lock_not_available THEN RETURN errand.held_of(p);
END $$;

CREATE FUNCTION errand.held_of(p json) RETURNS json LANGUAGE sql IMMUTABLE AS $$
  SELECT json_build_array((p->>'id')::uuid, 'held', NULL)
$$;

CREATE FUNCTION errand.insert_again(p_jobs json, p_sent_at int8, p_since_ms int8) RETURNS text LANGUAGE plpgsql ${planned} AS $$
DECLARE
  v_now int8 := errand.now_ms();
  v_ids uuid[] := ARRAY(SELECT (value->>'id')::uuid FROM json_array_elements(p_jobs));
  v_known int8 := (SELECT count(*) FROM errand.jobs WHERE id = ANY (v_ids));
  v_answers text := errand.insert(p_jobs, NULL);
BEGIN
  IF v_now - p_sent_at > ${latestMs} OR EXISTS (SELECT 1 FROM errand.erasures WHERE at >= p_sent_at - p_since_ms - ${clockStepMs} LIMIT 1) THEN
    IF (SELECT count(*) FROM errand.jobs WHERE id = ANY (v_ids)) > v_known THEN
      RAISE EXCEPTION 'jobs of this insert may have been forgotten' USING ERRCODE = '${forgottenState}';
    END IF;
  END IF;
  INSERT INTO errand.repeats (id, at) SELECT DISTINCT id, v_now FROM unnest(v_ids) id ORDER BY id ON CONFLICT (id) DO NOTHING;
  PERFORM errand.tell('work');
  RETURN v_answers;
END $$;

CREATE FUNCTION errand.open_needs(p_id uuid, p_needs json) RETURNS uuid[] LANGUAGE plpgsql AS $$
DECLARE
  v_need json;
  v_state int;
  v_open uuid[] := '{}';
BEGIN
  FOR v_need IN SELECT value FROM json_array_elements(p_needs) LOOP
    v_state := CASE WHEN (v_need->>'id')::uuid = p_id THEN NULL ELSE errand.need_state((v_need->>'id')::uuid, NULL) END;
    IF v_state = -1 THEN
      v_open := v_open || (v_need->>'id')::uuid;
    ELSIF v_state IS DISTINCT FROM 4 AND v_need->>'onFailed' = 'cancel' THEN
      RETURN NULL;
    END IF;
  END LOOP;
  RETURN v_open;
END $$;

CREATE FUNCTION errand.known_of(p_id uuid) RETURNS json LANGUAGE sql VOLATILE AS $$
  SELECT json_build_array(p_id, 'created', (SELECT r.token FROM errand.jobs j JOIN errand.running r ON r.seq = j.seq WHERE j.id = p_id AND r.born))
$$;

CREATE FUNCTION errand.insert_one(p json, p_seq int8, p_now int8) RETURNS json LANGUAGE plpgsql AS $$
DECLARE
  v_job errand.jobs;
  v_unique json := CASE WHEN json_typeof(p->'unique') = 'object' THEN p->'unique' END;
  v_lease json := CASE WHEN json_typeof(p->'lease') = 'object' THEN p->'lease' END;
  v_open uuid[] := '{}';
  v_state int;
  v_holder uuid;
  v_held bool;
  v_replaced bool;
  v_token int8;
BEGIN
  v_job.seq := p_seq;
  v_job.id := p->>'id';
  v_job.task := p->>'task';
  v_job.queue := p->>'queue';
  v_job.priority := p->>'priority';
  v_job.input := p->>'input';
  v_job.codec := p->>'codec';
  v_job.options := p->>'options';
  v_job.parent := p->>'parent';
  v_job.created_at := p_now;
  v_job.due_at := coalesce((p->>'runAt')::int8, p_now + (p->>'delayMs')::int8);
  v_job.place := v_job.due_at;
  v_job.keep_cancelled_ms := p->>'keepCancelledMs';
  v_job.start_within_ms := p->>'startWithinMs';
  v_job.deadline_ms := p->>'deadlineMs';
  v_job.start_by := v_job.due_at + v_job.start_within_ms;
  v_job.deadline_at := p_now + v_job.deadline_ms;
  v_job.unique_key := v_unique->>'key';
  v_job.unique_during := v_unique->>'during';
  v_job.unique_until := CASE WHEN v_unique IS NOT NULL THEN coalesce(p_now + (v_unique->>'forMs')::int8, 0) END;
  v_job.suspect := false;
  v_job.token := 0;

  FOR attempt IN 1..101 LOOP
    IF attempt = 101 THEN RAISE serialization_failure USING MESSAGE = 'the key of job ' || v_job.id || ' keeps moving'; END IF;
    PERFORM 1 FROM errand.jobs WHERE id = v_job.id;
    IF FOUND THEN RETURN errand.known_of(v_job.id); END IF;
    IF v_lease IS NULL AND json_array_length(p->'needs') > 0 THEN v_open := errand.open_needs(v_job.id, p->'needs'); END IF;
    v_state := CASE WHEN v_lease IS NOT NULL THEN 3 WHEN v_open IS NULL OR v_open <> '{}' THEN 0 WHEN v_job.due_at > p_now THEN 1 ELSE 2 END;
    v_holder := CASE WHEN v_unique IS NOT NULL THEN errand.holder_of(v_job.unique_key, p_now) END;
    IF v_holder IS NULL THEN
      INSERT INTO errand.jobs SELECT (v_job).* ON CONFLICT (id) DO NOTHING;
      CONTINUE WHEN NOT FOUND;
      EXIT WHEN v_unique IS NULL;
      v_held := errand.lists(v_job.unique_during, CASE WHEN v_open IS NULL THEN 6 ELSE v_state END);
      EXIT WHEN NOT v_held AND v_job.unique_until <= p_now;
      EXIT WHEN errand.take_key(v_job.unique_key, v_job.id, v_held, v_job.unique_until, p_now);
      DELETE FROM errand.jobs WHERE seq = v_job.seq;
      CONTINUE;
    END IF;
    -- A key of its own is that of a job that was inserted just now, or of one that was removed while the key's time runs on.
    CONTINUE WHEN v_holder = v_job.id AND EXISTS (SELECT 1 FROM errand.jobs WHERE id = v_job.id);
    v_replaced := v_unique->>'onConflict' = 'replace' AND errand.replace(v_holder, v_job, (v_unique->>'maxWaitMs')::int8, p_now);
    CONTINUE WHEN NOT v_replaced AND errand.holder_of(v_job.unique_key, p_now) IS DISTINCT FROM v_holder;
    RETURN json_build_array(v_holder, CASE WHEN v_replaced THEN 'replaced' ELSE 'duplicate' END, NULL);
  END LOOP;

  INSERT INTO errand.needs (need, seq, runs_anyway)
  SELECT DISTINCT ON (value->>'id') (value->>'id')::uuid, v_job.seq, value->>'onFailed' = 'run'
  FROM json_array_elements(p->'needs') WITH ORDINALITY n (value, o) WHERE (value->>'id')::uuid = ANY (v_open) OR v_lease IS NOT NULL ORDER BY value->>'id', o DESC;
  IF v_lease IS NOT NULL THEN
    v_token := errand.new_token();
    INSERT INTO errand.running (seq, token, worker, lease_until, started_at, born)
    VALUES (v_job.seq, v_token, v_lease->>'worker', p_now + (v_lease->>'leaseMs')::int8, p_now, true);
  ELSIF v_open IS NULL THEN
    PERFORM errand.tallied(v_job.queue, NULL, 0);
    PERFORM errand.cancel_waiting(v_job, 0, 'need-failed', p_now);
    PERFORM errand.release(v_job, 6, v_job.keep_cancelled_ms, p_now);
    RETURN json_build_array(v_job.id, 'created', NULL);
  ELSE
    IF v_state = 0 THEN INSERT INTO errand.doubts (seq) VALUES (v_job.seq); END IF;
    PERFORM errand.line_up(v_job, v_state);
    PERFORM errand.bind(v_job);
  END IF;
  PERFORM errand.tallied(v_job.queue, NULL, v_state);
  RETURN json_build_array(v_job.id, 'created', v_token);
END $$;

CREATE FUNCTION errand.replace(p_holder uuid, p_job errand.jobs, p_max_wait_ms int8, p_now int8) RETURNS bool LANGUAGE plpgsql AS $$
DECLARE
  v_old errand.jobs;
  v_job errand.jobs;
  v_from int;
  v_state int;
BEGIN
  SELECT * INTO v_old FROM errand.jobs WHERE id = p_holder;
  IF NOT FOUND OR errand.is_leased(v_old.seq) THEN RETURN false; END IF;
  SELECT * INTO v_old FROM errand.jobs WHERE id = p_holder FOR UPDATE;
  -- Whoever was waited for may have let the key go.
  IF NOT FOUND OR errand.holder_of(p_job.unique_key, p_now) IS DISTINCT FROM p_holder THEN RETURN false; END IF;
  v_from := errand.take_out(v_old);
  IF v_from > 2 THEN RETURN false; END IF;
  v_job := v_old;
  v_job.queue := p_job.queue;
  v_job.priority := p_job.priority;
  -- One that is replaced again and again gets its turn.
  v_job.due_at := least(p_job.due_at, CASE WHEN p_max_wait_ms IS NOT NULL THEN greatest(p_now, v_old.created_at + p_max_wait_ms) END);
  v_job.place := CASE WHEN v_job.due_at <= p_now THEN least(v_old.place, v_job.due_at) ELSE v_job.due_at END;
  v_job.counters := NULL;
  v_job.suspect := false;
  v_job.keep_cancelled_ms := p_job.keep_cancelled_ms;
  v_job.codec := p_job.codec;
  v_job.options := p_job.options;
  v_job.input := p_job.input;
  v_job.start_by := v_job.due_at + p_job.start_within_ms;
  v_job.deadline_at := p_job.deadline_at;
  v_job.start_within_ms := p_job.start_within_ms;
  v_job.deadline_ms := p_job.deadline_ms;
  v_job.unique_key := p_job.unique_key;
  v_job.unique_during := p_job.unique_during;
  v_job.unique_until := p_job.unique_until;
  v_state := CASE WHEN v_from = 0 THEN 0 WHEN v_job.due_at > p_now THEN 1 ELSE 2 END;
  UPDATE errand.jobs SET counters = NULL, suspect = false, queue = v_job.queue, priority = v_job.priority, due_at = v_job.due_at, place = v_job.place,
    keep_cancelled_ms = v_job.keep_cancelled_ms, codec = v_job.codec, options = v_job.options, input = v_job.input,
    start_by = v_job.start_by, deadline_at = v_job.deadline_at, start_within_ms = v_job.start_within_ms,
    deadline_ms = v_job.deadline_ms, unique_key = v_job.unique_key, unique_during = v_job.unique_during,
    unique_until = v_job.unique_until WHERE seq = v_job.seq;
  PERFORM errand.unbind(v_old);
  PERFORM errand.line_up(v_job, v_state);
  PERFORM errand.bind(v_job);
  PERFORM errand.tallied(v_old.queue, v_from, NULL);
  PERFORM errand.tallied(v_job.queue, NULL, v_state);
  PERFORM errand.rekey(v_job.unique_key, v_job.id, v_job.unique_during, v_job.unique_until, v_state, p_now);
  RETURN true;
END $$;
`

/** Through text, because some libraries write what is meant for JSON as JSON once more. */
const INSERT = `SELECT errand.insert($1::text::json, $2)`
const INSERT_APART = `SELECT errand.insert($1::text::json, $2, true)`
const INSERT_AGAIN = `SELECT errand.insert_again($1::text::json, $2, $3)`
const RECHECK = `SELECT errand.recheck($1)`
/** Reads the doubted jobs, mostly none, then their needs by seq; locks as `recheck` does. */
const RECHECK_NEEDING = `SELECT CASE WHEN cardinality(ids) = 0 THEN 'none' ELSE errand.recheck(ids)::text END
  FROM (SELECT ARRAY(SELECT j.id FROM errand.doubts d JOIN errand.jobs j ON j.seq = d.seq
    WHERE EXISTS (SELECT 1 FROM errand.needs n WHERE n.seq = d.seq AND n.need = ANY ($1))) ids) doubted`

/** Adds jobs: those of the ordinary kind at one go. */
export async function insert(
  db: Database,
  jobs: readonly NewJob[],
  tx: Caller | null,
): Promise<readonly Inserted[]> {
  if (jobs.length === 0) return db.nothing([])
  const unknown = (cause: unknown): unknown =>
    unknownOutcome(
      db.location,
      jobs.map(({ id }) => id),
      cause,
    )
  const again: Again = (sinceMs, sentAt) => ({
    sql: INSERT_AGAIN,
    values: [JSON.stringify(jobs.map(packJob)), sentAt, sinceMs],
  })
  if (tx === null && jobs.every(isOrdinary)) {
    await add(db, jobs, unknown, again)
    return jobs.map(({ id }) => ({ id, status: 'created', token: null }))
  }
  const values = [JSON.stringify(jobs.map(packJob))]
  const answers =
    tx === null
      ? await db.apart.inserts.run('"held"', (isApart) =>
          db.repeatable(isApart ? INSERT_APART : INSERT, [...values, null], unknown, again),
        )
      : await tx(INSERT, [...values, 'work'])
  if (tx === null) {
    db.hints.give('work')
    await recheck(db, jobs)
  }
  return (JSON.parse(answers) as Answer[]).map(([id, status, token]) => ({ id, status, token }))
}

type Answer = [id: string, status: Inserted['status'], token: number | null]

/** The pauses between looks at doubted jobs, in ms. */
const recheckPausesMs = [2, 5, 10, 20, 40, 80, 160] as const

/**
 * Weighs those of the jobs anew that came to wait for others while these were ending. What a transaction of a user holds is left
 * to the next beat of a worker, and so is all of it when the server is away: the jobs themselves are stored.
 */
export async function recheck(db: Database, jobs: readonly NewJob[]): Promise<void> {
  const ids = jobs.filter(({ needs }) => needs.length > 0).map(({ id }) => id)
  if (ids.length > 0) await weigh(db, RECHECK, ids)
}

/**
 * Weighs the jobs anew whose insert passed by the end of these. An end that takes long outlasts the looks of the insert, so it looks itself,
 * once it has been committed: whichever of the two ends last sees the other.
 */
export function recheckNeeding(db: Database, ended: readonly string[]): Promise<void> {
  return weigh(db, RECHECK_NEEDING, ended)
}

async function weigh(db: Database, sql: string, ids: readonly string[]): Promise<void> {
  const look = (): Promise<string> => db.value(sql, [uuids(ids)]).catch(() => 'true')
  let answer = await look()
  if (answer === 'none') return
  for (const pauseMs of recheckPausesMs) {
    if (answer === 'true' || answer === 'none') break
    await setTimeout(pauseMs * (0.5 + Math.random()))
    answer = await look()
  }
  // A job may just have become ready that the insert itself told nobody of.
  db.hints.give('work')
}

/** A job as the functions of the schema read it. */
export function packJob(job: NewJob): object {
  const { unique } = job
  return unique === null
    ? job
    : { ...job, unique: { ...unique, during: packStates(unique.during) } }
}
