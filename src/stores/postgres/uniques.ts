/**
 * Unique keys: the primary key of `uniques` lets at most one job hold a key. A row is held while its job's state is listed
 * in the job's rule (`held`), and until `until`. A row that is neither is left over and free.
 */

/**
 * `holder_of` answers who holds a key; it locks nothing.
 * `rekey` takes or releases a job's key, as the state asks for that it has now, and tells whether the job may go on as its holder
 * or needs none. `drop_key` releases the key of a job that is removed, but with `p_keep` not while the key's own time runs.
 * All walk the primary key and lock the one row.
 */
export const uniqueFunctions = `
CREATE FUNCTION errand.holder_of(p_key text, p_now int8) RETURNS uuid LANGUAGE sql STABLE AS $$
  SELECT id FROM errand.uniques WHERE key = p_key AND (held OR until > p_now)
$$;

CREATE FUNCTION errand.rekey(p_key text, p_id uuid, p_during int, p_until int8, p_state int, p_now int8) RETURNS bool LANGUAGE plpgsql AS $$
DECLARE
  v_held bool := errand.lists(p_during, p_state);
BEGIN
  IF p_key IS NULL THEN RETURN true; END IF;
  IF v_held OR p_now < p_until THEN
    INSERT INTO errand.uniques AS u (key, id, held, until) VALUES (p_key, p_id, v_held, coalesce(p_until, 0))
    ON CONFLICT (key) DO UPDATE SET id = excluded.id, held = excluded.held, until = excluded.until
      WHERE u.id = excluded.id OR NOT (u.held OR u.until > p_now);
    RETURN FOUND;
  END IF;
  DELETE FROM errand.uniques WHERE key = p_key AND id = p_id;
  RETURN true;
END $$;

CREATE FUNCTION errand.drop_key(p_key text, p_id uuid, p_keep bool, p_now int8) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF p_key IS NULL THEN RETURN; END IF;
  IF p_keep THEN
    UPDATE errand.uniques SET held = false WHERE key = p_key AND id = p_id AND until > p_now;
    IF FOUND THEN RETURN; END IF;
  END IF;
  DELETE FROM errand.uniques WHERE key = p_key AND id = p_id;
END $$;
`
