/** What is kept of needed jobs, for those of their dependants that want to know how they ended. */
import { handedBytes } from '../../core/job.ts'
import type { Needed, NeededJob } from '../../store/job.ts'
import { stateOf, type StateCode } from '../state-codes.ts'

/**
 * `jobs.wants` holds the needs with `output` of a job as JSON, `outputs` how they ended, once for each
 * group of jobs that want to know it.
 *
 * `keep_ended` writes how a job just ended for the groups of those that wait for it: it walks the primary
 * key of `needs`, then that of `jobs`, and finds the end in the partition where it was filed. `keep_found` does so for a job that looks at what it needs and
 * finds it ended. Both write a row that only they and their like write.
 *
 * `kept_state` returns how a job ended that is not known any more.
 *
 * `needed_of` returns what a claim hands out, and `needed_size` how large it is: a walk of the
 * primary key of `outputs` for each need.
 *
 * `wait_again` lets jobs that are to run again wait for those of their needs that have not ended, and
 * returns which do; of the others it keeps what is known. Their ends may be under way, so they are doubted as new jobs are.
 *
 * `drop_outputs` removes what no job of its group can want any more: it jumps from group to group in
 * the primary key.
 */
export const outputFunctions: string = `
CREATE FUNCTION errand.wants_of(p_needs json) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT json_agg(json_build_object('id', value->>'id', 'endsAs', (value->>'endsAs')::int2, 'hand', value->>'output' = 'hand'))::text
  FROM json_array_elements(p_needs) WHERE value->>'output' IS NOT NULL
$$;

CREATE FUNCTION errand.keep_ended(p_job errand.jobs, p_state int, p_bucket int2) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_group text;
BEGIN
  FOR v_group IN
    SELECT DISTINCT d.group_id FROM errand.needs n JOIN errand.jobs d ON d.seq = n.seq
    WHERE n.need = p_job.id AND d.wants IS NOT NULL ORDER BY 1
  LOOP
    INSERT INTO errand.outputs (group_id, id, state, codec, output)
    SELECT v_group, p_job.id, p_state, p_job.codec, f.output FROM errand.finished f WHERE f.bucket = p_bucket AND f.seq = p_job.seq
    ON CONFLICT (group_id, id) DO UPDATE SET state = excluded.state, codec = excluded.codec, output = excluded.output;
  END LOOP;
END $$;

CREATE FUNCTION errand.keep_found(p_seq int8, p_need uuid) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (SELECT 1 FROM errand.jobs WHERE seq = p_seq AND wants IS NOT NULL) THEN RETURN; END IF;
  INSERT INTO errand.outputs (group_id, id, state, codec, output)
  SELECT d.group_id, s.id, s.state, s.codec, s.output
  FROM errand.jobs d, errand.jobs n, LATERAL (SELECT * FROM errand.stored WHERE stored.seq = n.seq OFFSET 0) s
  WHERE d.seq = p_seq AND n.id = p_need AND s.state > 3
  ON CONFLICT (group_id, id) DO UPDATE SET state = excluded.state, codec = excluded.codec, output = excluded.output;
END $$;

CREATE FUNCTION errand.kept_state(p_group text, p_need uuid) RETURNS int LANGUAGE sql STABLE AS $$
  SELECT state FROM errand.outputs WHERE group_id = p_group AND id = p_need
$$;

CREATE FUNCTION errand.needed_size(p_wants text, p_group text) RETURNS int8 LANGUAGE sql STABLE AS $$
  SELECT coalesce(sum(octet_length(o.output)), 0)::int8 FROM json_to_recordset(p_wants::json) w (id uuid, hand bool)
  CROSS JOIN LATERAL (SELECT output FROM errand.outputs WHERE group_id = p_group AND outputs.id = w.id OFFSET 0) o WHERE w.hand
$$;

CREATE FUNCTION errand.needed_of(p_wants text, p_group text) RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
  IF p_wants IS NULL THEN RETURN NULL; END IF;
  IF errand.needed_size(p_wants, p_group) > ${handedBytes} THEN RETURN 'needed "too-large"'; END IF;
  RETURN 'needed ' || (
    SELECT json_agg(json_build_array(w.id, o.state, CASE WHEN w.hand THEN o.output END, o.codec))
    FROM json_to_recordset(p_wants::json) w (id uuid, hand bool)
    LEFT JOIN LATERAL (SELECT * FROM errand.outputs WHERE group_id = p_group AND outputs.id = w.id OFFSET 0) o ON true);
END $$;

CREATE FUNCTION errand.wait_again(p_seqs int8[]) RETURNS int8[] LANGUAGE plpgsql AS $$
DECLARE
  v_seqs int8[];
BEGIN
  WITH again AS (
    INSERT INTO errand.needs (need, seq, ends_as)
    SELECT n.id, j.seq, w."endsAs" FROM errand.jobs j
      CROSS JOIN LATERAL json_to_recordset(j.wants::json) w (id uuid, "endsAs" int2)
      CROSS JOIN LATERAL (SELECT * FROM errand.jobs WHERE jobs.id = w.id OFFSET 0) n
    WHERE j.seq = ANY (p_seqs) AND j.wants IS NOT NULL AND n.seq <> j.seq AND errand.need_state(n.id, NULL) = -1
    ON CONFLICT DO NOTHING RETURNING seq)
  SELECT coalesce(array_agg(DISTINCT seq), '{}') INTO v_seqs FROM again;
  PERFORM errand.keep_found(j.seq, w.id) FROM errand.jobs j CROSS JOIN LATERAL json_to_recordset(j.wants::json) w (id uuid)
  WHERE j.seq = ANY (p_seqs) AND j.wants IS NOT NULL ORDER BY w.id;
  INSERT INTO errand.doubts (seq) SELECT s FROM unnest(v_seqs) s ON CONFLICT DO NOTHING;
  RETURN v_seqs;
END $$;

CREATE FUNCTION errand.drop_outputs() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM errand.outputs WHERE group_id = ANY (ARRAY(
    WITH RECURSIVE groups (id) AS (
      SELECT min(group_id) FROM errand.outputs
      UNION ALL SELECT (SELECT min(group_id) FROM errand.outputs WHERE group_id > groups.id) FROM groups WHERE id IS NOT NULL)
    SELECT id FROM groups WHERE id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM errand.jobs WHERE group_id = groups.id)));
END $$;
`

type NeededRow = [id: string, state: StateCode | null, output: string | null, codec: string | null]

/** Reads what `needed_of` returned. */
export function readNeeded(json: string): Needed {
  const found = JSON.parse(json) as readonly NeededRow[] | 'too-large'
  if (found === 'too-large') return found
  return found.map(([id, state, output, codec]) => ({
    id,
    state: state === null ? null : (stateOf(state) as NeededJob['state']),
    output,
    codec,
  }))
}
