/**
 * Gives the pages of dead runs back. Each queue name that was used leaves its entry in the index of
 * `ready`, marked dead but still walked over by whoever looks for the next queue that has work: with
 * 100,000 names a claim walks some thousand pages. The server's own vacuum comes a minute later at
 * best, so workers do it sooner, beside a heartbeat.
 *
 * A transaction that is held open anywhere keeps the dead rows; then this finds nothing to remove,
 * and the gap between two grows with the table.
 */
import type { Database } from './database.ts'

/** So many dead rows are worth it: a walk over fewer costs a claim 0.2 ms at most. */
export const manyDead = 5_000
/** The shortest gap between two vacuums of the whole fleet: below 10 s with a heartbeat, in ms. */
const shortestGapMs = 4_000
/** A row costs a vacuum well below 1 µs, so this bounds it to a fiftieth of the time. */
const gapMsPerRow = 0.05

/**
 * `may_vacuum` returns whether the caller may: others than the owner get a warning in the server's
 * log instead. `needs_vacuum` returns whether many dead rows lie in `ready`, by the server's
 * counters, which reset with each vacuum of whomever: so one in a fleet does it.
 * Both read the catalog and counters, and walk no table.
 */
export const vacuumFunctions: string = `
CREATE FUNCTION errand.may_vacuum() RETURNS bool LANGUAGE plpgsql STABLE AS $$
BEGIN
  IF pg_has_role((SELECT relowner FROM pg_class WHERE oid = 'errand.ready'::regclass), 'USAGE') THEN
    RETURN true;
  END IF;
  IF current_setting('server_version_num')::int < 170000 THEN RETURN false; END IF;
  RETURN has_table_privilege('errand.ready', 'MAINTAIN');
END $$;

CREATE FUNCTION errand.needs_vacuum() RETURNS bool LANGUAGE plpgsql STABLE AS $$
DECLARE
  v_ready oid := 'errand.ready'::regclass;
  v_dead int8 := pg_stat_get_dead_tuples(v_ready);
  v_gap_ms float8 := greatest(${shortestGapMs},
    (v_dead + pg_stat_get_live_tuples(v_ready)) * ${gapMsPerRow});
  v_last timestamptz := greatest(pg_stat_get_last_vacuum_time(v_ready),
    pg_stat_get_last_autovacuum_time(v_ready));
BEGIN
  RETURN v_dead > ${manyDead}
    AND coalesce(v_last < clock_timestamp() - v_gap_ms * interval '1 ms', true)
    AND errand.may_vacuum();
END $$;
`

/**
 * Removes dead rows of `ready` with their entries; claims go on meanwhile. Skips it where another
 * process is at it. The file does not shrink, for which claims would have to wait.
 */
const VACUUM = `VACUUM (SKIP_LOCKED, INDEX_CLEANUP ON, TRUNCATE OFF) errand.ready`

/**
 * Starts it. One that fails, as a connection may, is due again with the next heartbeat. It is
 * not sent on a user's only client: a transaction of theirs would fail with it.
 */
export function vacuum(db: Database): void {
  if (db.mayBeInTransaction) return
  db.readOnce(VACUUM, []).catch(() => {})
}
