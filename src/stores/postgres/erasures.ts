/** What a call that is sent again must know of jobs and calls that are gone. */

/** Longer than any call is repeated, in ms. */
const erasuresKeptMs = 120_000
/**
 * Longer than a statement can be on its way to the server after its sender gave it up, in ms: TCP
 * tries for a quarter of an hour.
 */
const repeatsKeptMs = 60 * 60 * 1_000

/**
 * `erased` notes that a call removes jobs for good, once for each call. `forget_calls` drops notes
 * that no insert can ask for any more, and claims that can be repeated no more: each walks the
 * index by time, or the table, skips what is locked, and removes up to 20,000 rows.
 */
export const erasureFunctions: string = `
CREATE FUNCTION errand.erased(p_now int8) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF current_setting('errand_erasures.at', true) IS NOT DISTINCT FROM p_now::text THEN
    RETURN; END IF;
  PERFORM set_config('errand_erasures.at', p_now::text, true);
  INSERT INTO errand.erasures (at) VALUES (p_now);
END $$;

CREATE FUNCTION errand.forget_calls(p_now int8) RETURNS void LANGUAGE sql AS $$
  DELETE FROM errand.erasures
  WHERE ctid = ANY (ARRAY(SELECT ctid FROM errand.erasures WHERE at < p_now - ${erasuresKeptMs}
    LIMIT 20000 FOR UPDATE SKIP LOCKED));
  DELETE FROM errand.repeats
  WHERE ctid = ANY (ARRAY(SELECT ctid FROM errand.repeats WHERE at < p_now - ${repeatsKeptMs}
    LIMIT 20000 FOR UPDATE SKIP LOCKED));
  DELETE FROM errand.claims
  WHERE ctid = ANY (ARRAY(SELECT ctid FROM errand.claims WHERE until <= p_now LIMIT 20000
    FOR UPDATE SKIP LOCKED))
$$;
`
