/**
 * Unique keys: the primary key of `uniques` lets at most one job hold a key. A row is held while its job's state is listed
 * in the job's rule (`held`), and until `until`. A row that is neither is left over and free.
 */

/**
 * `holder_of` answers who holds a key; it locks nothing.
 * `rekey` takes or releases a job's key, as the state asks for that it has now, and tells whether the job may go on as its holder
 * or needs none. `drop_key` releases the key of a job that is removed, but with `p_keep` not while the key's own time runs.
 * All walk the primary key and lock the one row, and that only if they change it: who loses a key goes on to the job that has it, while
 * others lock the job and then its key. So `rekey` takes a key that was left over in a block of its own, which lets go of a row that
 * somebody else took meanwhile.
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
  IF NOT v_held AND p_until <= p_now THEN
    DELETE FROM errand.uniques WHERE key = p_key AND id = p_id;
    RETURN true;
  END IF;
  FOR attempt IN 1..100 LOOP
    INSERT INTO errand.uniques (key, id, held, until) VALUES (p_key, p_id, v_held, p_until) ON CONFLICT (key) DO NOTHING;
    IF FOUND THEN RETURN true; END IF;
    UPDATE errand.uniques SET held = v_held, until = p_until WHERE key = p_key AND id = p_id;
    IF FOUND THEN RETURN true; END IF;
    IF errand.holder_of(p_key, p_now) IS NOT NULL THEN RETURN false; END IF;
    BEGIN
      UPDATE errand.uniques SET id = p_id, held = v_held, until = p_until WHERE key = p_key AND NOT (held OR until > p_now);
      IF FOUND THEN RETURN true; END IF;
      RAISE no_data_found;
    EXCEPTION WHEN no_data_found THEN NULL;
    END;
  END LOOP;
  RAISE serialization_failure USING MESSAGE = 'the key of job ' || p_id || ' keeps moving';
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
