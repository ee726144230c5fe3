/** The server's time, and durations by it. */
import { longestMs } from '../../core/duration.ts'

/**
 * `now_ms` is the server's time; the one place that reads it, which tests put another in. `span`
 * cuts a stored duration to what a time can be moved by: a row may hold what something else wrote.
 * `ms_until` returns how long it is until a time, as a lock timeout: at least 1. None of them reads
 * a table.
 */
export const clockFunctions: string = `
CREATE FUNCTION errand.now_ms() RETURNS int8 LANGUAGE sql VOLATILE AS $$
  SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::int8
$$;

CREATE FUNCTION errand.span(p_ms int8) RETURNS int8 LANGUAGE sql IMMUTABLE STRICT AS $$
  SELECT greatest(least(p_ms, ${longestMs}), 0)
$$;

CREATE FUNCTION errand.ms_until(p_time timestamptz) RETURNS int LANGUAGE sql VOLATILE AS $$
  SELECT greatest((1000 * extract(epoch FROM p_time - clock_timestamp()))::int, 1)
$$;
`
