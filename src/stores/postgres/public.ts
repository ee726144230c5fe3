/** What the schema offers to triggers and to programs in other languages. */
import { planned } from './planned.ts'

/**
 * `errand.enqueue(task, input, options)` inserts a job in the caller's transaction and answers its id, or the id of the job that holds its
 * unique key. Options: `queue`, `priority`, `delayMs`, `runAt` (a time), `startWithinMs`, `deadlineMs`, `uniqueKey`, `id`. The queue of a registered
 * task is its own unless one is given.
 */
export const publicFunctions: string = `
CREATE FUNCTION errand.new_id() RETURNS uuid LANGUAGE sql VOLATILE AS $$
  SELECT (substr(time, 1, 8) || '-' || substr(time, 9, 4) || '-7' || substr(random, 15, 3) || '-' || substr(random, 18, 4) || '-'
    || substr(random, 22, 12))::uuid
  FROM (SELECT lpad(to_hex(errand.now_ms()), 12, '0') AS time, ' ' || replace(gen_random_uuid()::text, '-', '') AS random) r
$$;

CREATE FUNCTION errand.enqueue(task text, input jsonb, options jsonb DEFAULT '{}') RETURNS uuid LANGUAGE plpgsql ${planned} AS $$
DECLARE
  v_unknown text := (SELECT min(key) FROM jsonb_object_keys(options) key WHERE key <> ALL (ARRAY[
    'queue', 'priority', 'delayMs', 'runAt', 'startWithinMs', 'deadlineMs', 'uniqueKey', 'id']));
  v_queue text := options->>'queue';
  v_answer json;
BEGIN
  IF v_unknown IS NOT NULL THEN RAISE invalid_parameter_value USING MESSAGE = 'errand.enqueue has no option ' || v_unknown; END IF;
  IF concat(task, v_queue, options->>'uniqueKey') ~ '[\\u0001-\\u001f\\u007f-\\u009f]' THEN
    RAISE invalid_parameter_value USING MESSAGE = 'names and keys of errand.enqueue hold no control characters'; END IF;
  IF v_queue IS NULL THEN SELECT record::json->>'queue' INTO v_queue FROM errand.tasks WHERE name = enqueue.task; END IF;
  v_answer := errand.insert_one(json_build_object(
    'id', coalesce(options->>'id', errand.new_id()::text),
    'task', task,
    'queue', coalesce(v_queue, 'default'),
    'priority', coalesce((options->>'priority')::int, 0),
    'input', input::text,
    'delayMs', coalesce((options->>'delayMs')::int8, 0),
    'runAt', floor(extract(epoch FROM (options->>'runAt')::timestamptz) * 1000)::int8,
    'startWithinMs', options->'startWithinMs',
    'deadlineMs', options->'deadlineMs',
    'keepCancelledMs', 86400000,
    'unique', CASE WHEN options ? 'uniqueKey' THEN
      json_build_object('key', task || ':' || (options->>'uniqueKey'), 'during', 7, 'forMs', NULL, 'onConflict', 'skip') END,
    'needs', '[]'::json), nextval('errand.seqs'), errand.now_ms());
  PERFORM errand.tell('work');
  RETURN v_answer->>0;
END $$;
`
