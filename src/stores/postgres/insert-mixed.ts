/** The ordinary jobs of a call that also holds others: they travel as columns, the others as JSON. */
import type { NewJob } from '../../store/job.ts'
import { addArguments, alikeNow, alikes, batchOf, ROWS } from './insert-plain.ts'
import { numbers } from './arrays.ts'
import { planned } from './plan-settings.ts'

/**
 * `insert_mixed` inserts the ordinary jobs of a call, then the others as `insert` does, in one step. As
 * JSON an ordinary job costs the server four times as much. All are numbered in the order of the call,
 * of which `p_places` and `p_rest` name the places of both. Adds rows by the indexes of `jobs`, then
 * lines up what it added by number, and locks as `insert_pass` does. It takes no subtransaction, so that
 * `insert_needs` knows what this call has inserted.
 */
export const mixedFunctions: string = `
CREATE FUNCTION errand.insert_mixed(p_jobs json, p_places int[], p_rest int[], p_ids uuid[], p_inputs text[],
  ${alikes.map(({ name, type }) => `p_${name} ${type}[]`).join(', ')},
  p_delays int8[], p_run_ats int8[], p_run_firsts int[], p_run_counts int[], p_special bool)
RETURNS text LANGUAGE plpgsql ${planned} AS $$
DECLARE
  v_now int8 := errand.now_ms();
  v_all int8[] := errand.take_seqs(cardinality(p_places) + cardinality(p_rest));
  v_seqs int8[] := ARRAY(SELECT v_all[place] FROM unnest(p_places) place);
  v_whole bool := false;
  v_first int8;
  v_pass record;
  ${alikeNow}
BEGIN
  PERFORM set_config('lock_timeout', errand.call_patience(), true);
  ${ROWS}
  ON CONFLICT (id) DO NOTHING;
  -- Of one that was known already nothing has its number.
  PERFORM errand.line_up_new(v_seqs, v_now);
  v_pass := errand.insert_pass(p_jobs, NULL, ARRAY(SELECT v_all[place] FROM unnest(p_rest) place), v_now, '{}', NULL);
  PERFORM errand.refuse_repeats(p_ids || ARRAY(SELECT (value->>'id')::uuid FROM json_array_elements(p_jobs)), v_all);
  RETURN array_to_json(v_pass.answers)::text;
END $$;
`

/** Through text, because some libraries write what is meant for JSON as JSON once more. */
export const INSERT_MIXED: string = `SELECT errand.insert_mixed($1::text::json, $2, $3, ${addArguments(4)})`

/** The values for it; `others` are those that are not `ahead`, as JSON. */
export function mixedValues(
  jobs: readonly NewJob[],
  ahead: ReadonlySet<string>,
  others: string,
): unknown[] {
  const [places, rest]: [number[], number[]] = [[], []]
  for (const [at, { id }] of jobs.entries()) (ahead.has(id) ? places : rest).push(at + 1)
  const first = jobs.filter(({ id }) => ahead.has(id))
  return [others, numbers(places), numbers(rest), ...batchOf(first)]
}
