/** Durable records of runs: what an attempt leaves for later attempts of its job. */
import type { Recorded, RecordedQuery } from '../../store/readers.ts'
import type { RecordAnswer, RunRecord } from '../../store/worker-calls.ts'
import { isJobId } from '../../core/id.ts'
import type { Database } from './database.ts'
import { patiently } from './held.ts'
import { planned } from './plan-settings.ts'
import { bounded } from './arrays.ts'

/**
 * `record` takes the jobs in the order of their numbers, as `note` does, and locks the lease of
 * each, which a settlement locks too: a record was there before the end of its run, or is stale. So
 * it waits for a transaction of a user in which the job ends, and gives up what it has locked
 * itself if that takes long.
 *
 * `recorded_of` walks the index of ids, then a range of the primary key.
 */
export const runRecordFunctions: string = `
CREATE FUNCTION errand.record(p_records json) RETURNS text LANGUAGE plpgsql ${planned} AS $$
DECLARE
  v_record record;
  v_run errand.running;
  v_answers text[] := array_fill('0'::text, ARRAY[json_array_length(p_records)]);
BEGIN
  PERFORM set_config('lock_timeout', errand.call_patience(), true);
  FOR v_record IN
    SELECT r.value, r.o, (SELECT j.seq FROM errand.jobs j
      WHERE j.id = (r.value->>'id')::uuid) AS seq
    FROM json_array_elements(p_records) WITH ORDINALITY r (value, o) ORDER BY seq, o
  LOOP
    v_run := errand.own(v_record.seq, (v_record.value->>'token')::int8);
    CONTINUE WHEN v_run.seq IS NULL;
    INSERT INTO errand.recorded (seq, name, text) VALUES (v_run.seq, v_record.value->>'name',
      v_record.value->>'text')
    ON CONFLICT (seq, name) DO UPDATE SET text = excluded.text;
    v_answers[v_record.o] := '1';
  END LOOP;
  RETURN array_to_string(v_answers, '');
END $$;

CREATE FUNCTION errand.recorded_of(p_id uuid, p_after text, p_limit int)
  RETURNS SETOF errand.recorded LANGUAGE plpgsql STABLE ${planned} AS $$
DECLARE
  v_seq int8 := (SELECT seq FROM errand.jobs WHERE id = p_id);
BEGIN
  RETURN QUERY SELECT * FROM errand.recorded WHERE seq = v_seq AND name >= coalesce(p_after, '')
    AND name IS DISTINCT FROM p_after
    ORDER BY name LIMIT p_limit;
END $$;
`

const RECORD = `SELECT errand.record($1::text::json)`
const RECORDED = `SELECT name, text FROM errand.recorded_of($1, $2, $3)`

export async function record(db: Database, records: readonly RunRecord[]): Promise<RecordAnswer[]> {
  if (records.length === 0) return db.nothing([])
  const values = [JSON.stringify(records)]
  const answers = await patiently(() => db.repeatable(RECORD, values))
  return Array.from(answers, (digit) => (digit === '1' ? 'recorded' : 'stale'))
}

export async function recorded(db: Database, query: RecordedQuery): Promise<Recorded[]> {
  const { id, after, limit } = query
  const rows = await db.read(RECORDED, [isJobId(id) ? id : null, after, bounded(limit)])
  return rows.map(([name, text]) => ({ name: name as string, text: text as string }))
}
