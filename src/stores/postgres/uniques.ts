/**
 * Unique keys: the primary key of `uniques` lets at most one job hold a key. A row is held while its job's state is listed
 * in the job's rule (`held`), and until `until`. A row that is neither is left over and free.
 */

/** How long a call that can go on without a key waits for whoever is taking it, in ms. */
const briefMs = 1

/**
 * `lists` returns whether a rule holds its key in a state. `holder_of` returns who holds a key; it locks nothing.
 *
 * `take_key` gives a free key to a job and returns false when another job has it. It waits for a transaction that is taking the key just
 * now, so only an insert calls it, which needs that very key. Who loses a key goes on to the job that has it, while others lock the job
 * and then its key: so a key that was left over is taken in a block of its own, which releases a row that somebody else took meanwhile.
 *
 * `rekey` takes or releases the key of a job that changes its state, and returns whether the job holds it or needs none. It runs in calls
 * that act for many jobs and never waits for a transaction of a user: a key that is being taken is not free, and the job goes on without.
 * Only its own job changes a row that is held, so it writes such a row at once. Any other row may be taken over at this moment: then
 * it tries for `briefMs`, and leaves one that it only had to remove to `prune`.
 *
 * `drop_key` releases the key of a job that is removed, but with `p_keep` not while the key's own time runs. It waits for nobody either.
 * All walk the primary key and lock one row, and that only if they change it.
 */
export const uniqueFunctions: string = `
CREATE FUNCTION errand.lists(p_during int, p_state int) RETURNS bool LANGUAGE sql IMMUTABLE AS $$
  SELECT coalesce(p_during, 0) & (1 << p_state) <> 0
$$;

CREATE FUNCTION errand.holder_of(p_key text, p_now int8) RETURNS uuid LANGUAGE sql STABLE AS $$
  SELECT id FROM errand.uniques WHERE key = p_key AND (held OR until > p_now)
$$;

CREATE FUNCTION errand.take_key(p_key text, p_id uuid, p_held bool, p_until int8, p_now int8) RETURNS bool LANGUAGE plpgsql AS $$
BEGIN
  FOR attempt IN 1..100 LOOP
    INSERT INTO errand.uniques (key, id, held, until) VALUES (p_key, p_id, p_held, p_until) ON CONFLICT (key) DO NOTHING;
    IF FOUND THEN RETURN true; END IF;
    UPDATE errand.uniques SET held = p_held, until = p_until WHERE key = p_key AND id = p_id;
    IF FOUND THEN RETURN true; END IF;
    IF errand.holder_of(p_key, p_now) IS NOT NULL THEN RETURN false; END IF;
    BEGIN
      UPDATE errand.uniques SET id = p_id, held = p_held, until = p_until WHERE key = p_key AND NOT (held OR until > p_now);
      IF FOUND THEN RETURN true; END IF;
      RAISE no_data_found;
    EXCEPTION WHEN no_data_found THEN NULL;
    END;
  END LOOP;
  RAISE serialization_failure USING MESSAGE = 'the key of job ' || p_id || ' keeps moving';
END $$;

CREATE FUNCTION errand.try_key(p_key text, p_id uuid, p_held bool, p_until int8, p_now int8) RETURNS bool LANGUAGE plpgsql
SET lock_timeout = ${briefMs} AS $$
BEGIN
  RETURN errand.take_key(p_key, p_id, p_held, p_until, p_now);
EXCEPTION WHEN lock_not_available THEN RETURN false;
END $$;

CREATE FUNCTION errand.rekey(p_key text, p_id uuid, p_during int, p_until int8, p_state int, p_now int8) RETURNS bool LANGUAGE plpgsql AS $$
DECLARE
  v_held bool := errand.lists(p_during, p_state);
  v_row errand.uniques;
BEGIN
  IF p_key IS NULL THEN RETURN true; END IF;
  IF NOT v_held AND p_until <= p_now THEN
    DELETE FROM errand.uniques WHERE key = p_key AND id = p_id AND held;
    RETURN true;
  END IF;
  SELECT * INTO v_row FROM errand.uniques WHERE key = p_key;
  IF v_row.held AND v_row.id = p_id THEN
    IF NOT v_held OR v_row.until <> p_until THEN
      UPDATE errand.uniques SET held = v_held, until = p_until WHERE key = p_key AND id = p_id AND held;
    END IF;
    RETURN true;
  END IF;
  IF v_row.id <> p_id AND (v_row.held OR v_row.until > p_now) THEN RETURN false; END IF;
  RETURN errand.try_key(p_key, p_id, v_held, p_until, p_now);
END $$;

CREATE FUNCTION errand.drop_key(p_key text, p_id uuid, p_keep bool, p_now int8) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF p_key IS NULL THEN RETURN; END IF;
  IF p_keep THEN
    UPDATE errand.uniques SET held = false WHERE key = p_key AND id = p_id AND held AND until > p_now;
    IF FOUND THEN RETURN; END IF;
  END IF;
  DELETE FROM errand.uniques WHERE key = p_key AND id = p_id AND (held OR (NOT p_keep AND until > p_now));
END $$;
`
