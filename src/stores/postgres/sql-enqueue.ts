/** What the schema offers to triggers and to programs in other languages. */
import { longestMs } from '../../core/duration.ts'
import { planned } from './plan-settings.ts'

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

CREATE FUNCTION errand.unique_key(task text, key text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT replace(replace(task, '%', '%25'), ':', '%3A') || ':'
    || CASE WHEN octet_length(key) > 200 THEN 'sha256-' || encode(sha256(convert_to(key, 'UTF8')), 'hex') ELSE key END
$$;

CREATE FUNCTION errand.enqueue(task text, input jsonb, options jsonb DEFAULT '{}') RETURNS uuid LANGUAGE plpgsql ${planned} AS $$
DECLARE
  v_wrong text := (SELECT min(key) FROM jsonb_object_keys(options) key WHERE key <> ALL (ARRAY[
    'queue', 'priority', 'delayMs', 'runAt', 'startWithinMs', 'deadlineMs', 'uniqueKey', 'id']));
  v_record json := (SELECT record::json FROM errand.tasks WHERE name = enqueue.task);
  v_answer json;
BEGIN
  IF v_wrong IS NOT NULL THEN RAISE invalid_parameter_value USING MESSAGE = 'errand.enqueue has no option ' || v_wrong; END IF;
  IF concat(task, options->>'queue', options->>'uniqueKey') ~ '[\\u0001-\\u001f\\u007f-\\u009f]' THEN
    RAISE invalid_parameter_value USING MESSAGE = 'names and keys of errand.enqueue hold no control characters'; END IF;
  IF options ? 'uniqueKey' AND coalesce(options->>'uniqueKey', '') = '' THEN
    RAISE invalid_parameter_value USING MESSAGE = 'errand.enqueue needs a uniqueKey that is not empty';
  END IF;
  SELECT min(key) INTO v_wrong FROM jsonb_each_text(options) WHERE value IS NOT NULL AND CASE
    WHEN key IN ('delayMs', 'startWithinMs', 'deadlineMs') THEN value::numeric NOT BETWEEN 0 AND ${longestMs}
    WHEN key = 'runAt' THEN abs(extract(epoch FROM value::timestamptz) * 1000 - errand.now_ms()) > ${longestMs}
    WHEN key = 'priority' THEN value::numeric NOT BETWEEN -1000 AND 1000 END;
  IF v_wrong IS NOT NULL THEN
    RAISE invalid_parameter_value USING MESSAGE = 'errand.enqueue: ' || v_wrong || ' is out of bounds',
      HINT = 'Times are whole milliseconds, at most 100 years; priorities are -1000 to 1000.';
  END IF;
  v_answer := errand.insert_one(json_build_object(
    'id', coalesce(options->>'id', errand.new_id()::text),
    'task', task,
    'queue', coalesce(options->>'queue', v_record->>'queue', 'default'),
    'priority', coalesce((options->>'priority')::int, 0),
    'input', input::text,
    'delayMs', coalesce((options->>'delayMs')::int8, 0),
    'runAt', floor(extract(epoch FROM (options->>'runAt')::timestamptz) * 1000)::int8,
    'startWithinMs', options->'startWithinMs',
    'deadlineMs', options->'deadlineMs',
    'keepCancelledMs', 86400000,
    'unique', CASE WHEN options ? 'uniqueKey' THEN
      json_build_object('key', errand.unique_key(coalesce(v_record->'aliases'->>0, task), options->>'uniqueKey'), 'during', 15, 'forMs', NULL, 'onConflict', 'skip') END,
    'needs', '[]'::json), nextval('errand.seqs'), errand.now_ms());
  PERFORM errand.tell('work');
  RETURN v_answer->>0;
END $$;
`
