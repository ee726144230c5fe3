/** Durable records of runs: what an attempt leaves for later attempts of its job. */
import type { Inserted } from '../../store/intake.ts'
import type { Recorded, RecordedQuery } from '../../store/readers.ts'
import type { RecordAnswer, RunRecord } from '../../store/worker-calls.ts'
import { isJobId } from '../../core/id.ts'
import type { Database } from './database.ts'
import { patiently } from './held.ts'
import { planned } from './plan-settings.ts'
import { bounded } from './arrays.ts'
import { packJob, recheck } from './insert.ts'

/**
 * `record` takes the jobs in the order of their numbers, as `note` does, and locks the lease of
 * each, which a settlement locks too: a record was there before the end of its run, or is stale. So
 * it waits for a transaction of a user in which the job ends, and gives up what it has locked
 * itself if that takes long. The jobs that a record carries are inserted one after the other, as
 * those of a settlement are; the ordinary ones join their lines together. Of each record it returns
 * `0` where it was stale, `1`, or the answers of its jobs.
 *
 * `recorded_of` walks the index of ids, then a range of the primary key.
 */
export const runRecordFunctions: string = `
CREATE FUNCTION errand.record(p_records json) RETURNS text LANGUAGE plpgsql ${planned} AS $$
DECLARE
  v_now int8 := errand.now_ms();
  v_record record;
  v_run errand.running;
  v_job json;
  v_seq int8;
  v_joins bool;
  v_joining int8[] := '{}';
  v_all json[];
  v_answers json[] := array_fill('0'::json, ARRAY[json_array_length(p_records)]);
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
    CONTINUE WHEN v_record.value->'jobs' IS NULL;
    v_all := '{}';
    FOR v_job IN SELECT value FROM json_array_elements(v_record.value->'jobs') LOOP
      v_seq := nextval('errand.seqs');
      v_joins := errand.is_ordinary(v_job);
      v_all := v_all || errand.insert_one(v_job, v_seq, v_now, NOT v_joins);
      -- Of one that was known already nothing has this number.
      IF v_joins THEN v_joining := v_joining || v_seq; END IF;
    END LOOP;
    v_answers[v_record.o] := array_to_json(v_all);
  END LOOP;
  IF v_joining <> '{}' THEN PERFORM errand.line_up_new(v_joining, v_now); END IF;
  RETURN array_to_json(v_answers)::text;
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

/** The answer to one record: see `runRecordFunctions`. */
type Answer = 0 | 1 | readonly (readonly [string, Inserted['status'], number | null])[]

export async function record(db: Database, records: readonly RunRecord[]): Promise<RecordAnswer[]> {
  if (records.length === 0) return db.nothing([])
  const carried = records.flatMap(({ jobs = [] }) => jobs)
  const packed = records.map(({ jobs, ...one }) => ({ ...one, jobs: jobs?.map(packJob) }))
  const values = [JSON.stringify(packed)]
  const answers = await patiently(() => db.repeatable(RECORD, values))
  if (carried.length > 0) {
    db.hints.give('work')
    await recheck(db, carried)
  }
  return (JSON.parse(answers) as Answer[]).map((answer) =>
    typeof answer === 'number'
      ? answer === 1
        ? 'recorded'
        : 'stale'
      : answer.map(([id, status, token]) => ({ id, status, token })),
  )
}

export async function recorded(db: Database, query: RecordedQuery): Promise<Recorded[]> {
  const { id, after, limit } = query
  const rows = await db.read(RECORDED, [isJobId(id) ? id : null, after, bounded(limit)])
  return rows.map(([name, text]) => ({ name: name as string, text: text as string }))
}
