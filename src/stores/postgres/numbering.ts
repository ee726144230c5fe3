/** The numbers of jobs and the tokens of leases. */

/**
 * How far tokens may lag behind the server's clock: shorter than a restore takes, long enough that
 * they are lifted seldom.
 */
const tokenLagMs = 1_000
/** What `new_token` raises to leave its block. */
const liftedState = 'UF002'

/**
 * `new_token` gives the tokens of leases; no crash, fail-over or restore can make it give one
 * twice. The sequence forgets, but a second is the most by which it may lag behind the server's
 * microseconds: found below that, it is lifted to them, one call at a time. The block that holds
 * the advisory lock is rolled back, which frees it at once and leaves the sequence as it is.
 *
 * `take_seqs` numbers a batch in one stretch; a stretch that another call broke into is no error,
 * only more runs. It waits for no lock: whoever has the advisory lock goes first, and the others
 * number beside it.
 */
export const numberingFunctions: string = `
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
`
