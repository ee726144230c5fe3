/** New jobs of the ordinary kind: without keys, bounds and needs, and that wait their turn. */
import { smallInputBytes } from '../../core/job.ts'
import type { NewJob } from '../../store/job.ts'
import type { Again, Database } from './database.ts'
import { forgottenState } from './errors.ts'
import { givenColumns, givenNames, type JobColumn } from './job-columns.ts'
import { planned } from './plan-settings.ts'
import { column, joined, joint, numbers, texts, uuids } from './arrays.ts'

/** The columns that all jobs of a batch often share. */
export const alikes: readonly JobColumn[] = givenColumns.filter(({ name }) => name !== 'input')

function names(columns: readonly JobColumn[]): string {
  return columns.map(({ name }) => name).join(', ')
}

/** Fewer jobs than this are not worth a subtransaction. */
const leastAtOnce = 8

/** Declares the value of each such column that is the same in all. */
export const alikeNow: string = alikes
  .map(
    ({ name, type }) =>
      `v_${name} ${type} := CASE WHEN cardinality(p_${name}) = 1 THEN p_${name}[1] END;`,
  )
  .join('\n  ')

/** What `add` inserts: a row for each job, with its entries in the indexes of `jobs`; waits for an insert of the same ids. */
export const ROWS: string = `INSERT INTO errand.jobs (seq, id, created_at, due_at, place, input, ${names(alikes)})
    SELECT CASE WHEN v_whole THEN v_first + o - 1 ELSE v_seqs[o] END, u.id, v_now, coalesce(u.run_at,
      v_now + coalesce(u.delay, 0)),
      coalesce(u.run_at, v_now + coalesce(u.delay, 0)), u.input, ${alikes.map(({ name }) => `coalesce(v_${name}, u.${name})`).join(', ')}
    FROM unnest(p_ids, p_inputs, ${alikes.map(({ name }) => `p_${name}`).join(', ')}, p_delays, p_run_ats)
      WITH ORDINALITY u (id, input, ${names(alikes)}, delay, run_at, o)`

/**
 * `add` adds a batch: one statement per table, in the order of the batch. Jobs that are due now
 * stand in runs, which the caller counted. A column of which all jobs have the same value comes as
 * an array of one. It first takes all ids as new: asking for each whether it is known costs the server
 * a fifth more. A batch with one that is known is taken back and inserted asking.
 *
 * `follow` adds the follow-ups of jobs that end, but of those that were left alone; the others come as
 * stretches that are found anew.
 *
 * `refuse_repeats` ends an insert that has added jobs although it was sent again meanwhile, see
 * `insert_again`. It looks once the jobs are added, at what is committed by then: a repeat that is
 * not committed yet waits for their ids instead, and finds them.
 */
export const ordinaryFunctions: string = `
CREATE FUNCTION errand.add(p_ids uuid[], p_inputs text[], ${alikes.map(({ name, type }) => `p_${name} ${type}[]`).join(', ')},
  p_delays int8[], p_run_ats int8[], p_run_firsts int[], p_run_counts int[], p_special bool)
RETURNS void LANGUAGE plpgsql ${planned} AS $$
DECLARE
  v_now int8 := errand.now_ms();
  v_count int := cardinality(p_ids);
  v_seqs int8[] := errand.take_seqs(v_count);
  v_first int8 := v_seqs[1];
  v_whole bool := v_seqs[v_count] = v_seqs[1] + v_count - 1;
  ${alikeNow}
  v_added int;
BEGIN
  IF v_count >= ${leastAtOnce} THEN
    BEGIN
      ${ROWS};
      v_added := v_count;
    EXCEPTION WHEN unique_violation THEN NULL;
    END;
  END IF;
  IF v_added IS NULL THEN
    ${ROWS}
    ON CONFLICT (id) DO NOTHING;
    GET DIAGNOSTICS v_added = ROW_COUNT;
  END IF;
  IF v_added < v_count OR NOT v_whole OR p_delays IS NOT NULL OR p_run_ats IS NOT NULL THEN
    PERFORM errand.refuse_repeats(p_ids, v_seqs);
    PERFORM errand.line_up_new(v_seqs, v_now);
    RETURN;
  END IF;
  PERFORM errand.refuse_repeats(p_ids, v_seqs);
  WITH runs AS (
    INSERT INTO errand.ready (queue, priority, place, first, last, special)
    SELECT coalesce(v_queue, p_queue[f]), coalesce(v_priority, p_priority[f]), v_now,
      v_first + f - 1, v_first + f + c - 2, p_special
    FROM unnest(p_run_firsts, p_run_counts) u (f, c)
    RETURNING queue, last - first + 1 AS count)
  INSERT INTO errand.tally (queue, state, count) SELECT queue, 2, sum(count) FROM runs
    GROUP BY queue;
END $$;

CREATE FUNCTION errand.follow(p_aside int8multirange, p_parents int8[], p_ids uuid[], p_inputs text[],
  ${alikes.map(({ name, type }) => `p_${name} ${type}[]`).join(', ')},
  p_delays int8[], p_run_ats int8[], p_run_firsts int[], p_run_counts int[], p_special bool)
RETURNS void LANGUAGE plpgsql ${planned} AS $$
DECLARE
  v_places int[] := ARRAY(SELECT o FROM unnest(p_parents) WITH ORDINALITY u (seq, o) WHERE NOT p_aside @> seq ORDER BY o);
BEGIN
  IF cardinality(v_places) = cardinality(p_parents) THEN
    PERFORM errand.add(p_ids, p_inputs, ${alikes.map(({ name }) => `p_${name}`).join(', ')},
      p_delays, p_run_ats, p_run_firsts, p_run_counts, p_special);
  ELSIF v_places <> '{}' THEN
    PERFORM errand.add(${['ids', 'inputs', ...alikes.map(({ name }) => name)]
      .map(
        (name) => `CASE WHEN cardinality(p_${name}) = 1
      THEN p_${name} ELSE ARRAY(SELECT p_${name}[o] FROM unnest(v_places) o) END`,
      )
      .join()},
      ARRAY(SELECT p_delays[o] FROM unnest(v_places) o),
      CASE WHEN p_run_ats IS NOT NULL THEN ARRAY(SELECT p_run_ats[o] FROM unnest(v_places) o) END, NULL, NULL, p_special);
  END IF;
END $$;

CREATE FUNCTION errand.refuse_repeats(p_ids uuid[], p_seqs int8[]) RETURNS bool
  LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  PERFORM 1 FROM errand.repeats LIMIT 1;
  IF NOT FOUND THEN RETURN true; END IF;
  PERFORM 1 FROM unnest(p_ids) u (id) JOIN errand.repeats r ON r.id = u.id
    CROSS JOIN LATERAL (SELECT seq FROM errand.jobs WHERE id = r.id OFFSET 0) j
      WHERE j.seq = ANY (p_seqs) LIMIT 1;
  IF FOUND THEN RAISE EXCEPTION 'this insert arrived after its own repeat'
    USING ERRCODE = '${forgottenState}'; END IF;
  RETURN true;
END $$;
`

/** Where the message stands among the values of `ADD_ONE`: behind the id and the columns. */
const message = `$${givenColumns.length + 2}`

/**
 * One job that is due now: the same as `add` does, in one statement, which costs a server that
 * keeps its plan a third less than the function. Adds a row to each of three tables, by their
 * primary keys, and waits for nobody but an insert of the same id, and with a message for others
 * who send one. The message is sent where one is counted, since a statement that answers rows costs
 * the client more.
 */
const ADD_ONE = `WITH at AS MATERIALIZED (SELECT errand.now_ms() AS now, nextval('errand.seqs') AS seq),
  job AS (
    INSERT INTO errand.jobs (seq, id, created_at, due_at, place, ${givenNames})
    SELECT seq, $1::uuid, now, now, now, ${givenColumns.map(({ type }, at) => `$${at + 2}::${type}`).join(', ')} FROM at
    ON CONFLICT (id) DO NOTHING RETURNING seq, place, queue, priority,
      octet_length(input) > ${smallInputBytes} AS special),
  lined_up AS (
    INSERT INTO errand.ready (queue, priority, place, first, last, special) SELECT queue, priority,
      place, seq, seq, special FROM job)
  INSERT INTO errand.tally (queue, state, count)
  SELECT queue, 2, CASE WHEN ${message} <> '' THEN num_nonnulls(pg_notify('errand.hints',
    ${message})) ELSE 1 END FROM job
  WHERE errand.refuse_repeats(ARRAY[$1::uuid], ARRAY[seq])`
/**
 * The arguments of `add` as `batchOf` gives them, the first of which is the value of this number. Inputs
 * come joined where they may be, which the server takes apart in a third of the time that an array
 * takes.
 */
export function addArguments(first: number): string {
  const others = Array.from({ length: alikes.length + 5 }, (_, at) => `$${first + 3 + at}`)
  return `$${first}, coalesce(string_to_array($${first + 1}, ${joint.sql}), $${first + 2}::text[]), ${others.join()}`
}

const ADD = `SELECT errand.add(${addArguments(1)})`

export function isOrdinary(job: NewJob): boolean {
  return (
    job.unique === null &&
    job.startWithinMs === null &&
    job.deadlineMs === null &&
    job.needs.length === 0 &&
    job.holds === undefined &&
    job.entry === null &&
    (job.headStartMs ?? 0) === 0
  )
}

/**
 * Adds ordinary jobs, and tells of them. `unknown` makes the error of an insert of which the answer
 * is lost.
 */
export async function add(
  db: Database,
  jobs: readonly NewJob[],
  unknown: (cause: unknown) => unknown,
  again: Again,
): Promise<void> {
  const [job] = jobs
  if (jobs.length > 1 || job?.runAt !== null || job.delayMs > 0 || !db.prepares) {
    await db.repeatable(ADD, batchOf(jobs), unknown, again)
    db.hints.give('work')
    return
  }
  const columns = [job.id, ...givenColumns.map(({ of }) => of(job))]
  await db.hints.carry('work', (message) =>
    db.repeatable(ADD_ONE, [...columns, message ?? ''], unknown, again),
  )
}

/** The columns of a batch, and its runs: neighbours of one queue and priority. */
export function batchOf(jobs: readonly NewJob[]): unknown[] {
  const runs: { readonly first: number; count: number }[] = []
  let before: NewJob | null = null
  for (const [index, job] of jobs.entries()) {
    const run = runs.at(-1)
    const goesOn = before?.queue === job.queue && before.priority === job.priority
    if (run !== undefined && goesOn) run.count += 1
    else runs.push({ first: index + 1, count: 1 })
    before = job
  }
  const isDelayed = jobs.some(({ delayMs }) => delayMs > 0)
  const inputs = jobs.map(({ input }) => input)
  const inputsJoined = joined(inputs)
  return [
    uuids(jobs.map(({ id }) => id)),
    inputsJoined,
    inputsJoined === null ? texts(inputs) : null,
    ...alikes.map(({ type, of }) => packColumn(type, alike(jobs.map(of)))),
    isDelayed ? numbers(jobs.map(({ delayMs }) => delayMs)) : null,
    column(
      jobs.map(({ runAt }) => runAt),
      numbers,
    ),
    numbers(runs.map(({ first }) => first)),
    numbers(runs.map(({ count }) => count)),
    inputs.some(isLarge),
  ]
}

/** Whether an input may have more bytes than are small. */
function isLarge(input: string): boolean {
  return input.length * 3 > smallInputBytes && Buffer.byteLength(input) > smallInputBytes
}

/** A column as an array of its type; null when all its values are. */
function packColumn(
  type: JobColumn['type'],
  values: readonly (string | number | null)[],
): string | null {
  switch (type) {
    case 'uuid':
      return column(values as readonly (string | null)[], uuids)
    case 'text':
      return column(values as readonly (string | null)[], texts)
    case 'int2':
    case 'int8':
      return column(values as readonly (number | null)[], numbers)
  }
}

/** One value where all are the same. */
function alike<T>(values: readonly T[]): readonly T[] {
  const [first] = values
  return values.every((value) => value === first) ? values.slice(0, 1) : values
}
