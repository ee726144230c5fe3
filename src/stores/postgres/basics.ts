/** Functions that all others build on: time, numbers, counts. */
import { callPatienceMs } from './plan-settings.ts'

import { longestMs } from '../../core/duration.ts'

/** Longer than any call is repeated, in ms. */
const erasuresKeptMs = 120_000
/** Longer than a statement can be on its way to the server after its sender gave it up, in ms: TCP tries for a quarter of an hour. */
const repeatsKeptMs = 60 * 60 * 1_000
/** How far tokens may lag behind the server's clock: shorter than a restore takes, long enough that they are lifted seldom. */
const tokenLagMs = 1_000
/** What `new_token` raises to leave its block. */
const liftedState = 'UF002'

/**
 * `now_ms` is the server's time; the one place that reads it, which tests put another in.
 * `new_token` gives the tokens of leases; no crash, fail-over or restore can make it give one twice. The sequence forgets, but a second is the
 * most by which it may lag behind the server's microseconds: found below that, it is lifted to them, one call at a time. The block that holds the
 * lock is rolled back, which frees it at once and leaves the sequence as it is.
 * `take_seqs` numbers a batch in one stretch; a stretch that another call broke into is no error, only more runs.
 * `tallied` keeps count: it only ever adds rows, so that nobody waits for a counter; `fold_tally` sums them up.
 * `span` cuts a stored duration to what a time can be moved by: a row may hold what something else wrote.
 * `erased` notes that a call removes jobs for good, once for each call; `forget_inserts` drops notes that no insert can ask for any more.
 * `call_patience` returns the lock timeout of calls that are sent again when they meet a held row; tests put another in. `ms_until` returns how
 * long it is until a time, as a lock timeout: at least 1.
 */
export const basicFunctions: string = `
CREATE FUNCTION errand.now_ms() RETURNS int8 LANGUAGE sql VOLATILE AS $$
  SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::int8
$$;

CREATE FUNCTION errand.new_token() RETURNS int8 LANGUAGE plpgsql AS $$
DECLARE
  v_token int8 := nextval('errand.tokens');
BEGIN
  IF v_token > (errand.now_ms() - ${tokenLagMs}) * 1000 THEN RETURN v_token; END IF;
  BEGIN
    PERFORM pg_advisory_xact_lock(('errand.tokens'::regclass::oid::int8 % 2147483647)::int, 2);
    v_token := nextval('errand.tokens');
    IF v_token <= (errand.now_ms() - ${tokenLagMs}) * 1000 THEN
      v_token := setval('errand.tokens', errand.now_ms() * 1000);
    END IF;
    RAISE EXCEPTION USING ERRCODE = '${liftedState}';
  EXCEPTION WHEN SQLSTATE '${liftedState}' THEN
    RETURN v_token;
  END;
END $$;

CREATE FUNCTION errand.take_seqs(p_count int) RETURNS int8[] LANGUAGE plpgsql AS $$
DECLARE
  v_lock int := 'errand.seqs'::regclass::oid::int8 % 2147483647;
  v_alone bool;
  v_seqs int8[];
BEGIN
  IF p_count = 1 THEN RETURN ARRAY[nextval('errand.seqs')]; END IF;
  v_alone := pg_try_advisory_lock(v_lock, 1);
  SELECT array_agg(nextval('errand.seqs')) INTO v_seqs FROM generate_series(1, p_count);
  IF v_alone THEN PERFORM pg_advisory_unlock(v_lock, 1); END IF;
  RETURN v_seqs;
END $$;

CREATE FUNCTION errand.tallied(p_queue text, p_from int, p_to int, p_count int8 DEFAULT 1) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO errand.tally (queue, state, count)
  SELECT p_queue, state, count FROM (VALUES (p_from::int2, -p_count), (p_to::int2, p_count)) t (state, count) WHERE state IS NOT NULL;
END $$;

CREATE FUNCTION errand.fold_tally() RETURNS void LANGUAGE sql AS $$
  WITH gone AS (
    DELETE FROM errand.tally WHERE ctid = ANY (ARRAY(SELECT ctid FROM errand.tally LIMIT 20000 FOR UPDATE SKIP LOCKED))
    RETURNING queue, state, count)
  INSERT INTO errand.tally (queue, state, count) SELECT queue, state, sum(count) FROM gone GROUP BY queue, state HAVING sum(count) <> 0
$$;

CREATE FUNCTION errand.erased(p_now int8) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF current_setting('errand_erasures.at', true) IS NOT DISTINCT FROM p_now::text THEN RETURN; END IF;
  PERFORM set_config('errand_erasures.at', p_now::text, true);
  INSERT INTO errand.erasures (at) VALUES (p_now);
END $$;

CREATE FUNCTION errand.forget_inserts(p_now int8) RETURNS void LANGUAGE sql AS $$
  DELETE FROM errand.erasures
  WHERE ctid = ANY (ARRAY(SELECT ctid FROM errand.erasures WHERE at < p_now - ${erasuresKeptMs} LIMIT 20000 FOR UPDATE SKIP LOCKED));
  DELETE FROM errand.repeats
  WHERE ctid = ANY (ARRAY(SELECT ctid FROM errand.repeats WHERE at < p_now - ${repeatsKeptMs} LIMIT 20000 FOR UPDATE SKIP LOCKED))
$$;

CREATE FUNCTION errand.call_patience() RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT '${callPatienceMs}' $$;

CREATE FUNCTION errand.ms_until(p_time timestamptz) RETURNS int LANGUAGE sql VOLATILE AS $$
  SELECT greatest((1000 * extract(epoch FROM p_time - clock_timestamp()))::int, 1)
$$;

CREATE FUNCTION errand.span(p_ms int8) RETURNS int8 LANGUAGE sql IMMUTABLE STRICT AS $$
  SELECT greatest(least(p_ms, ${longestMs}), 0)
$$;

CREATE FUNCTION errand.lists(p_during int, p_state int) RETURNS bool LANGUAGE sql IMMUTABLE AS $$
  SELECT coalesce(p_during, 0) & (1 << p_state) <> 0
$$;
`
