/** How many jobs each queue has in each state. */

/**
 * `tallied` keeps count: it only ever adds rows, so that nobody waits for a counter. `fold_tally`
 * sums rows up: it reads the table from its beginning, up to 20,000 rows, and skips what another
 * call is folding.
 */
export const tallyFunctions: string = `
CREATE FUNCTION errand.tallied(p_queue text, p_from int, p_to int, p_count int8 DEFAULT 1)
  RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO errand.tally (queue, state, count)
  SELECT p_queue, state, count FROM (VALUES (p_from::int2, -p_count), (p_to::int2,
    p_count)) t (state, count) WHERE state IS NOT NULL;
END $$;

CREATE FUNCTION errand.fold_tally() RETURNS void LANGUAGE sql AS $$
  WITH gone AS (
    DELETE FROM errand.tally WHERE ctid = ANY (ARRAY(SELECT ctid FROM errand.tally LIMIT 20000
      FOR UPDATE SKIP LOCKED))
    RETURNING queue, state, count)
  INSERT INTO errand.tally (queue, state, count) SELECT queue, state, sum(count) FROM gone
    GROUP BY queue, state HAVING sum(count) <> 0
$$;
`
