/** Plain finishes: the ends of jobs of shared leases that need no more than a row of history. */
import type { Finish } from '../../store/worker-calls.ts'
import type { Database } from './database.ts'
import type { LeasedJob } from './claimed-numbers.ts'
import { planned } from './plan-settings.ts'
import { column, numbers, ranges, texts } from './arrays.ts'
import { packCounters } from '../counters.ts'
import { codeOf } from '../state-codes.ts'

/** Most groups of jobs that are filed together in one call. */
const mostGroups = 4
/** Fewer than this are filed one by one. */
const smallestBatch = 8
/** The longest output, in characters, that is filed with others. */
const longestInBatch = 1_000
/** How long ago a run may have begun, in ms, to be filed with others: their column is narrow. */
const longestAgoMs = 2_147_483_647

/**
 * `finish_alike` completes jobs of one shared lease and one queue, all of them or none: it touches none of them, but writes the one row of
 * `batches`. `finish` ends jobs of shared leases that need no more than a row of history: each lease is locked, in the order of tokens, then
 * looked at with a new snapshot, so that a cancel, or a job that came to wait for one of these, is seen or waits itself. It answers
 * those that it left alone: not held any more, or in need of more. Jobs come in the order of their numbers. Per lease it walks the primary key of `leases` alone.
 */
export const finishingFunctions: string = `
CREATE FUNCTION errand.in_need_of_more(p_seqs int8[]) RETURNS int8multirange LANGUAGE plpgsql AS $$
DECLARE
  v_aside int8multirange := '{}';
BEGIN
  IF EXISTS (SELECT 1 FROM errand.needs) THEN
    SELECT coalesce(range_agg(int8range(j.seq, j.seq + 1)), '{}') INTO v_aside
    FROM errand.jobs j WHERE j.seq = ANY (p_seqs) AND EXISTS (SELECT 1 FROM errand.needs n WHERE n.need = j.id OR n.seq = j.seq);
  END IF;
  IF EXISTS (SELECT 1 FROM errand.cancels) THEN
    SELECT v_aside + coalesce(range_agg(int8range(seq, seq + 1)), '{}') INTO v_aside FROM errand.cancels WHERE seq = ANY (p_seqs);
  END IF;
  RETURN v_aside;
END $$;

CREATE FUNCTION errand.finish_alike(p_token int8, p_seqs int8multirange, p_queue text, p_counters text, p_keep int8, p_outputs text[],
  p_agos int4[]) RETURNS bool LANGUAGE plpgsql ${planned} AS $$
DECLARE
  v_now int8 := errand.now_ms();
  v_lease errand.leases;
  v_count int8;
BEGIN
  SELECT * INTO v_lease FROM errand.leases WHERE token = p_token FOR UPDATE;
  IF NOT FOUND OR NOT p_seqs <@ v_lease.held THEN RETURN false; END IF;
  IF EXISTS (SELECT 1 FROM errand.needs) OR EXISTS (SELECT 1 FROM errand.cancels) THEN
    IF NOT isempty(errand.in_need_of_more(ARRAY(SELECT generate_series(lower(r), upper(r) - 1) FROM unnest(p_seqs) r))) THEN
      RETURN false;
    END IF;
  END IF;
  IF v_lease.held = p_seqs THEN
    DELETE FROM errand.leases WHERE token = p_token;
  ELSE
    UPDATE errand.leases SET held = held - p_seqs WHERE token = p_token;
  END IF;
  SELECT sum(upper(r) - lower(r)) INTO v_count FROM unnest(p_seqs) r;
  IF p_keep <= 0 THEN
    DELETE FROM errand.jobs j USING unnest(p_seqs) r WHERE j.seq >= lower(r) AND j.seq < upper(r);
    PERFORM errand.drop_traces(ARRAY(SELECT generate_series(lower(r), upper(r) - 1) FROM unnest(p_seqs) r));
    INSERT INTO errand.tally (queue, state, count) VALUES (p_queue, 3, -v_count);
    PERFORM errand.erased(v_now);
  ELSE
    INSERT INTO errand.batches (finished_at, keep_ms, token, worker, counters, seqs, agos, outputs)
    VALUES (v_now, p_keep, p_token, v_lease.worker, p_counters, p_seqs, p_agos, p_outputs);
    INSERT INTO errand.tally (queue, state, count) VALUES (p_queue, 3, -v_count), (p_queue, 4, v_count);
  END IF;
  RETURN true;
END $$;

CREATE FUNCTION errand.finish(p_tokens int8[], p_seqs int8[], p_queues text[], p_states int2[], p_counters text[], p_reasons text[],
  p_keeps int8[], p_outputs text[], p_agos int8[]) RETURNS int8[] LANGUAGE plpgsql ${planned} AS $$
DECLARE
  v_now int8 := errand.now_ms();
  v_named record;
  v_lease errand.leases;
  v_mine int8multirange;
  v_aside int8multirange;
  v_done int8multirange := '{}';
BEGIN
  PERFORM 1 FROM errand.leases WHERE token = ANY (p_tokens) ORDER BY token FOR UPDATE;
  v_aside := errand.in_need_of_more(p_seqs);
  FOR v_named IN
    SELECT token, range_agg(int8range(seq, seq + 1)) AS asked FROM unnest(p_tokens, p_seqs) u (token, seq) GROUP BY token
  LOOP
    SELECT * INTO v_lease FROM errand.leases WHERE token = v_named.token;
    CONTINUE WHEN NOT FOUND;
    v_mine := v_named.asked * v_lease.held - v_aside;
    CONTINUE WHEN isempty(v_mine);
    PERFORM errand.shrink(v_lease.token, v_mine);
    v_done := v_done + v_mine;
    WITH mine AS MATERIALIZED (
      SELECT * FROM unnest(p_tokens, p_seqs, p_queues, p_states, p_counters, p_reasons, p_keeps, p_outputs, p_agos)
        u (token, seq, queue, state, counters, reason, keep, output, ago)
      WHERE token = v_lease.token AND v_mine @> seq),
    filed AS (
      INSERT INTO errand.finished (bucket, seq, state, finished_at, keep_ms, token, worker, started_at, counters, reason, output)
      SELECT errand.bucket_of(v_now, keep), seq, state, v_now, keep, token, v_lease.worker, v_now - ago, counters, reason, output
      FROM mine WHERE keep IS NULL OR keep > 0),
    gone AS (DELETE FROM errand.jobs WHERE seq = ANY (ARRAY(SELECT seq FROM mine WHERE keep <= 0)))
    INSERT INTO errand.tally (queue, state, count)
    SELECT queue, 3, -count(*) FROM mine GROUP BY queue
    UNION ALL SELECT queue, state, count(*) FROM mine WHERE keep IS NULL OR keep > 0 GROUP BY queue, state;
  END LOOP;
  IF 0 = ANY (p_keeps) THEN
    PERFORM errand.drop_traces(ARRAY(SELECT seq FROM unnest(p_seqs, p_keeps) u (seq, keep) WHERE keep <= 0 AND v_done @> seq));
    PERFORM errand.erased(v_now);
  END IF;
  RETURN ARRAY(SELECT seq FROM unnest(p_seqs) seq WHERE NOT v_done @> seq);
END $$;
`

/** One call for several groups: as many statements as numbers of groups, few. */
const finishAlike = (groups: number): string =>
  `SELECT ${Array.from({ length: groups }, (_, group) => `errand.finish_alike(${Array.from({ length: 7 }, (_, at) => `$${group * 7 + at + 1}`).join()})`).join()}`
const FINISH = `SELECT errand.finish($1, $2, $3, $4, $5, $6, $7, $8, $9)`

/** A settlement that needs no more than a row of history, with its place in the call and the number of its job. */
export interface Plain {
  readonly finish: Finish
  readonly place: number
  readonly leased: LeasedJob
}

/** Answers the places of those that are settled. */
export async function finishPlain(
  db: Database,
  plain: readonly Plain[],
): Promise<ReadonlySet<number>> {
  const done = new Set<number>()
  if (plain.length === 0) return done
  const { groups, others } = groupsOf(plain)
  try {
    if (groups.length > 0) {
      const [answers = []] = await db.write(finishAlike(groups.length), groups.flatMap(columnsOf))
      for (const [index, group] of groups.entries()) {
        if (answers[index] === true) for (const { place } of group) done.add(place)
        else others.push(...group)
      }
    }
    if (others.length > 0) {
      const refused = await finish(db, others)
      for (const { place, leased } of others) if (!refused.has(leased.seq)) done.add(place)
    }
    return done
  } catch (error) {
    for (const {
      finish: { id },
      leased,
      place,
    } of plain)
      if (!done.has(place)) db.leased.set(id, leased)
    throw error
  }
}

/** Sorts out those that can be filed together. */
function groupsOf(plain: readonly Plain[]): { groups: Plain[][]; others: Plain[] } {
  const found = new Map<string, Plain[]>()
  const others: Plain[] = []
  const groupOf = ({ finish: { token, keepMs, counters }, leased: { queue } }: Plain): Plain[] => {
    const kind = `${token}\t${keepMs}\t${packCounters(counters)}\t${queue}`
    const known = found.get(kind)
    if (known !== undefined) return known
    const group: Plain[] = []
    found.set(kind, group)
    return group
  }
  // Neighbours mostly go together.
  let last: Plain | null = null
  let group: Plain[] = []
  for (const one of plain) {
    const { state, reason, output, startedAgoMs } = one.finish
    const isLong = (output?.length ?? 0) > longestInBatch || (startedAgoMs ?? 0) > longestAgoMs
    if (state !== 'completed' || reason !== null || isLong) {
      others.push(one)
      continue
    }
    if (last === null || !areAlike(last, one)) group = groupOf(one)
    group.push(one)
    last = one
  }
  const groups: Plain[][] = []
  for (const group of found.values()) {
    if (group.length >= smallestBatch && groups.length < mostGroups) groups.push(group)
    else others.push(...group)
  }
  return {
    groups: groups.sort((a, b) => (a[0]?.finish.token ?? 0) - (b[0]?.finish.token ?? 0)),
    others,
  }
}

function areAlike(a: Plain, b: Plain): boolean {
  return (
    a.finish.token === b.finish.token &&
    a.finish.keepMs === b.finish.keepMs &&
    a.leased.queue === b.leased.queue &&
    packCounters(a.finish.counters) === packCounters(b.finish.counters)
  )
}

/** What the server needs of a group. */
function columnsOf(group: readonly Plain[]): unknown[] {
  const [first] = group
  if (first === undefined) return []
  const { token, counters, keepMs } = first.finish
  const isKept = keepMs !== 0
  return [
    token,
    ranges(group.map(({ leased }) => leased.seq)),
    first.leased.queue,
    packCounters(counters) ?? '0',
    keepMs,
    isKept
      ? column(
          group.map(({ finish: { output } }) => output),
          texts,
        )
      : null,
    isKept
      ? column(
          group.map(({ finish: { startedAgoMs } }) => startedAgoMs),
          numbers,
        )
      : null,
  ]
}

/** Answers the numbers of the jobs that were left alone. */
async function finish(db: Database, plain: readonly Plain[]): Promise<Set<number>> {
  const refused = await db.value(FINISH, [
    numbers(plain.map((one) => one.finish.token)),
    numbers(plain.map((one) => one.leased.seq)),
    texts(plain.map((one) => one.leased.queue)),
    numbers(plain.map((one) => codeOf(one.finish.state))),
    texts(plain.map((one) => packCounters(one.finish.counters) ?? '0')),
    column(
      plain.map((one) => one.finish.reason),
      texts,
    ),
    column(
      plain.map((one) => one.finish.keepMs),
      numbers,
    ),
    column(
      plain.map((one) => one.finish.output),
      texts,
    ),
    column(
      plain.map((one) => one.finish.startedAgoMs),
      numbers,
    ),
  ])
  return new Set(refused === '{}' ? [] : refused.slice(1, -1).split(',').map(Number))
}
