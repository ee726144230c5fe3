/** What the schema offers to triggers and to programs in other languages. */
import { longestMs } from '../../core/duration.ts'
import { jobDefaults } from '../../core/job.ts'
import { planned } from './plan-settings.ts'
import { codeOf } from '../state-codes.ts'
import { jobStates } from '../../core/job.ts'

/** The options of `errand.enqueue`. */
const options = [
  'queue',
  'priority',
  'delayMs',
  'runAt',
  'startWithinMs',
  'deadlineMs',
  'uniqueKey',
  'id',
]

/** The bit of a state, by its name in JSON. */
const bitOfState = `CASE state #>> '{}' ${jobStates.map((state) => `WHEN '${state}' THEN ${1 << codeOf(state)}`).join(' ')} END`

/**
 * `errand.enqueue(task, input, options)` inserts a job in the caller's transaction and returns its
 * id, or the id of the job that holds its unique key. What the options leave out is that of the
 * registered task, as for `enqueue` by name; see `docs/postgresql.md`. It walks the primary key of
 * `tasks`, and all of the table for a name that is only an alias.
 *
 * `registered_unique` makes the rule of a registered task for a job of it. Where its key follows
 * from the input, by a function or by hash, SQL cannot make it, and the caller must.
 */
export const publicFunctions: string = `
CREATE FUNCTION errand.new_id() RETURNS uuid LANGUAGE sql VOLATILE AS $$
  SELECT (substr(time, 1, 8) || '-' || substr(time, 9, 4) || '-7' || substr(random, 15,
    3) || '-' || substr(random, 18, 4) || '-'
    || substr(random, 22, 12))::uuid
  FROM (SELECT lpad(to_hex(errand.now_ms()), 12, '0') AS time,
    ' ' || replace(gen_random_uuid()::text, '-', '') AS random) r
$$;

CREATE FUNCTION errand.unique_key(task text, key text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT replace(replace(task, '%', '%25'), ':', '%3A') || ':'
    || CASE WHEN octet_length(key) > 200 THEN 'sha256-' || encode(sha256(convert_to(key, 'UTF8')),
      'hex') ELSE key END
$$;

CREATE FUNCTION errand.registered_unique(p_task text, p_name text, p_rule json) RETURNS json
  LANGUAGE plpgsql AS $$
BEGIN
  IF p_rule IS NULL OR json_typeof(p_rule) <> 'object' THEN RETURN NULL; END IF;
  IF p_rule->>'key' IS NULL THEN
    RAISE invalid_parameter_value USING
      MESSAGE = 'errand.enqueue: the unique key of ' || p_task ||
      ' follows from its input, which SQL cannot make',
      HINT = 'Give a uniqueKey of its own, or "uniqueKey": false for none.';
  END IF;
  RETURN json_build_object('key', errand.unique_key(p_name, p_rule->>'key'), 'forMs',
    p_rule->'forMs', 'maxWaitMs', p_rule->'maxWaitMs',
    'onConflict', p_rule->>'onConflict', 'during', (SELECT coalesce(sum(${bitOfState}), 0)
      FROM json_array_elements(p_rule->'during') d (state)));
END $$;

CREATE FUNCTION errand.enqueue(task text, input jsonb, options jsonb DEFAULT '{}') RETURNS uuid
  LANGUAGE plpgsql ${planned} AS $$
DECLARE
  v_wrong text := (SELECT min(key) FROM jsonb_object_keys(options) key
    WHERE key <> ALL ('{${options.join()}}'));
  v_record json := coalesce(
    (SELECT record FROM errand.tasks WHERE name = enqueue.task),
    (SELECT record FROM errand.tasks WHERE record::jsonb->'aliases' ? enqueue.task ORDER BY name
      LIMIT 1))::json;
  v_registered json := (v_record->>'options')::json;
  v_layer json := v_registered->'layer';
  v_keep json := v_layer->'keepMs'->'cancelled';
  v_task text := coalesce(v_record->>'name', task);
  v_key_name text := coalesce(v_record->'aliases'->>0, v_task);
  v_queue text := coalesce(options->>'queue', v_record->>'queue', 'default');
  v_ageing_ms int8 := v_registered->'ofQueues'->v_queue->'layer'->>'ageingMs';
  v_priority int;
  v_aged bool;
  v_unique json;
  v_answer json;
BEGIN
  IF v_wrong IS NOT NULL THEN RAISE invalid_parameter_value USING
    MESSAGE = 'errand.enqueue has no option ' || v_wrong; END IF;
  IF concat(task, options->>'queue', options->>'uniqueKey') ~ '[\\u0001-\\u001f\\u007f-\\u009f]'
    THEN
    RAISE invalid_parameter_value USING
      MESSAGE = 'names and keys of errand.enqueue hold no control characters'; END IF;
  IF options ? 'uniqueKey' AND (coalesce(options->>'uniqueKey', '') = ''
    OR options->'uniqueKey' = 'true') THEN
    RAISE invalid_parameter_value USING
      MESSAGE = 'errand.enqueue needs a uniqueKey that is not empty, or false for none';
  END IF;
  SELECT min(key) INTO v_wrong FROM jsonb_each_text(options) WHERE value IS NOT NULL AND CASE
    WHEN key IN ('delayMs', 'startWithinMs', 'deadlineMs') THEN value::numeric NOT BETWEEN 0
      AND ${longestMs}
    WHEN key = 'runAt' THEN abs(extract(epoch
      FROM value::timestamptz) * 1000 - errand.now_ms()) > ${longestMs}
    WHEN key = 'priority' THEN value::numeric NOT BETWEEN -1000 AND 1000 END;
  IF v_wrong IS NOT NULL THEN
    RAISE invalid_parameter_value USING
      MESSAGE = 'errand.enqueue: ' || v_wrong || ' is out of bounds',
      HINT = 'Times are whole milliseconds, at most 100 years; priorities are -1000 to 1000.';
  END IF;
  v_priority := coalesce((options->>'priority')::int, (v_layer->>'priority')::int,
    ${jobDefaults.priority});
  v_aged := v_ageing_ms IS NOT NULL AND v_priority <> 0;
  v_unique := CASE
    WHEN NOT options ? 'uniqueKey' THEN errand.registered_unique(v_task, v_key_name,
      v_registered->'unique')
    WHEN jsonb_typeof(options->'uniqueKey') <> 'boolean' THEN
      json_build_object('key', errand.unique_key(v_key_name, options->>'uniqueKey'), 'during', 15,
        'forMs', NULL, 'onConflict', 'skip') END;
  v_answer := errand.insert_one(json_build_object(
    'id', coalesce(options->>'id', errand.new_id()::text),
    'task', v_task,
    'queue', v_queue,
    'priority', CASE WHEN v_aged THEN 0 ELSE v_priority END,
    'headStartMs', CASE WHEN v_aged THEN -v_priority * v_ageing_ms END,
    'options', CASE WHEN v_aged THEN format('{"priority":%s}', v_priority) END,
    'input', input::text,
    'delayMs', coalesce((options->>'delayMs')::int8, 0),
    'runAt', floor(extract(epoch FROM (options->>'runAt')::timestamptz) * 1000)::int8,
    'startWithinMs', coalesce(options->>'startWithinMs', v_layer->>'startWithinMs'),
    'deadlineMs', coalesce(options->>'deadlineMs', v_layer->>'deadlineMs'),
    'keep_cancelled_ms', CASE WHEN v_keep IS NULL THEN ${jobDefaults.keepCancelledMs}
      ELSE (v_keep #>> '{}')::int8 END,
    'unique', v_unique,
    'needs', '[]'::json), nextval('errand.seqs'), errand.now_ms());
  PERFORM errand.tell('work');
  RETURN v_answer->>0;
END $$;
`
