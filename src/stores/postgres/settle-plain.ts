/** Plain finishes: the ends of jobs of shared leases that need no more than a row of history, with what follows them. */
import type { Database } from './database.ts'
import { followed, followUpsOf } from './follow-ups.ts'
import { groupsOf, type Plain } from './plain-groups.ts'
import { planned } from './plan-settings.ts'
import { column, numbers, numbersIn, ranges, texts } from './arrays.ts'
import { packCounters } from '../counters.ts'
import { codeOf } from '../state-codes.ts'

/**
 * `finish_alike` completes jobs of one shared lease and one queue: it touches none of them, but
 * writes the one row of `batches`. `finish` ends jobs of shared leases that need no more than a row
 * of history. Each lease is locked, in the order of tokens, then looked at with a new snapshot, so
 * that a cancel, or a job that came to wait for one of these, is seen or waits itself. Of jobs that
 * others need, `unblock_all` settles the needs of these first. Both return the jobs that they left
 * alone: not held any more, or in need of more; and whether other jobs may be due now. Jobs come in
 * the order of their numbers. Per lease they walk the primary key of `leases` alone.
 *
 * `in_need_of_more` finds those that were asked to stop or have needs themselves, and those that
 * others need. It reads the needs that lie between the ends of the batch, by id and by number:
 * mostly few, each of which costs a look for its job. Where there are more of them than jobs in the
 * batch it looks each job up instead, in both indexes.
 *
 * `hold_all` comes before several calls of `finish_alike` in one transaction: it locks what they
 * lock, all leases before all jobs that wait, so that no two transactions wait for each other.
 */
export const finishingFunctions: string = `
CREATE FUNCTION errand.in_need_of_more(p_seqs int8multirange, p_first_id uuid, p_last_id uuid,
  OUT aside int8multirange, OUT needed int8multirange) LANGUAGE plpgsql AS $$
DECLARE
  v_most int8;
  v_near int8;
  v_near_too int8;
BEGIN
  aside := '{}';
  needed := '{}';
  IF EXISTS (SELECT 1 FROM errand.needs LIMIT 1) THEN
    SELECT sum(upper(r) - lower(r)) INTO v_most FROM unnest(p_seqs) r;
    SELECT count(*), range_agg(int8range(j.seq, j.seq + 1)) FILTER (WHERE p_seqs @> j.seq) INTO v_near, needed
    FROM (SELECT need FROM errand.needs WHERE need >= p_first_id AND need <= p_last_id ORDER BY need LIMIT v_most + 1) n
    LEFT JOIN LATERAL (SELECT seq FROM errand.jobs WHERE id = n.need OFFSET 0) j ON true;
    SELECT count(*), range_agg(int8range(n.seq, n.seq + 1)) FILTER (WHERE p_seqs @> n.seq) INTO v_near_too, aside
    FROM (SELECT seq FROM errand.needs WHERE seq >= lower(p_seqs) AND seq < upper(p_seqs) ORDER BY seq LIMIT v_most + 1) n;
    IF greatest(v_near, v_near_too) > v_most THEN
      SELECT range_agg(int8range(seq, seq + 1)) FILTER (WHERE is_needed), range_agg(int8range(seq, seq + 1)) FILTER (WHERE needs)
      INTO needed, aside FROM (
        SELECT j.seq, (SELECT true FROM errand.needs n WHERE n.need = j.id LIMIT 1) AS is_needed,
          (SELECT true FROM errand.needs n WHERE n.seq = j.seq LIMIT 1) AS needs
        FROM errand.jobs j WHERE j.seq = ANY (ARRAY(SELECT generate_series(lower(r), upper(r) - 1) FROM unnest(p_seqs) r))) j;
    END IF;
    aside := coalesce(aside, '{}');
    needed := coalesce(needed, '{}');
  END IF;
  IF EXISTS (SELECT 1 FROM errand.cancels LIMIT 1) THEN
    SELECT aside + coalesce(range_agg(int8range(seq, seq + 1)), '{}') INTO aside FROM errand.cancels
    WHERE seq = ANY (ARRAY(SELECT generate_series(lower(r), upper(r) - 1) FROM unnest(p_seqs) r));
  END IF;
  needed := needed - aside;
END $$;

CREATE FUNCTION errand.hold_all(p_tokens int8[], p_seqs int8multirange, p_first_id uuid, p_last_id uuid) RETURNS void
  LANGUAGE plpgsql ${planned} AS $$
DECLARE
  v_needed int8multirange;
BEGIN
  IF NOT EXISTS (SELECT 1 FROM errand.needs LIMIT 1) THEN RETURN; END IF;
  PERFORM 1 FROM errand.leases WHERE token = ANY (p_tokens) ORDER BY token FOR UPDATE;
  v_needed := (errand.in_need_of_more(p_seqs, p_first_id, p_last_id)).needed;
  IF NOT isempty(v_needed) THEN
    PERFORM errand.hold_dependants(ARRAY(SELECT generate_series(lower(r), upper(r) - 1) FROM unnest(v_needed) r));
  END IF;
END $$;

CREATE FUNCTION errand.finish_alike(p_token int8, p_seqs int8multirange, p_first_id uuid, p_last_id uuid, p_queue text, p_counters text,
  p_keep int8, p_outputs text[], p_agos int4[]) RETURNS errand.done LANGUAGE plpgsql ${planned} AS $$
DECLARE
  v_now int8 := errand.now_ms();
  v_lease errand.leases;
  v_more record;
  v_unblocked errand.done := ('{}', false)::errand.done;
  v_needed int8[];
  v_aside int8multirange;
  v_mine int8multirange;
  v_outputs text[] := p_outputs;
  v_agos int4[] := p_agos;
  v_count int8;
BEGIN
  SELECT * INTO v_lease FROM errand.leases WHERE token = p_token FOR UPDATE;
  IF NOT FOUND THEN RETURN (p_seqs, false)::errand.done; END IF;
  v_more := errand.in_need_of_more(p_seqs, p_first_id, p_last_id);
  v_aside := p_seqs - v_lease.held + v_more.aside;
  IF NOT isempty(v_more.needed - v_aside) THEN
    v_needed := ARRAY(SELECT generate_series(lower(r), upper(r) - 1) AS seq FROM unnest(v_more.needed - v_aside) r ORDER BY seq);
    v_unblocked := errand.unblock_all(v_needed, array_fill(4::int2, ARRAY[cardinality(v_needed)]), p_seqs, p_outputs, v_now);
    v_aside := v_aside + v_unblocked.aside;
  END IF;
  v_mine := p_seqs - v_aside;
  IF isempty(v_mine) THEN RETURN (p_seqs, false)::errand.done; END IF;
  IF NOT isempty(v_aside) THEN
    SELECT CASE WHEN p_outputs IS NOT NULL THEN array_agg(output ORDER BY seq) END,
      CASE WHEN p_agos IS NOT NULL THEN array_agg(ago ORDER BY seq) END INTO v_outputs, v_agos
    FROM unnest(ARRAY(SELECT generate_series(lower(r), upper(r) - 1) AS seq FROM unnest(p_seqs) r ORDER BY seq), p_outputs, p_agos)
      u (seq, output, ago)
    WHERE v_mine @> seq;
  END IF;
  IF v_lease.held = v_mine THEN
    DELETE FROM errand.leases WHERE token = p_token;
  ELSE
    UPDATE errand.leases SET held = held - v_mine WHERE token = p_token;
  END IF;
  SELECT sum(upper(r) - lower(r)) INTO v_count FROM unnest(v_mine) r;
  IF p_keep <= 0 THEN
    DELETE FROM errand.jobs j USING unnest(v_mine) r WHERE j.seq >= lower(r) AND j.seq < upper(r);
    PERFORM errand.drop_traces(ARRAY(SELECT generate_series(lower(r), upper(r) - 1) FROM unnest(v_mine) r));
    INSERT INTO errand.tally (queue, state, count) VALUES (p_queue, 3, -v_count);
    PERFORM errand.erased(v_now);
  ELSE
    INSERT INTO errand.batches (finished_at, keep_ms, token, worker, counters, seqs, agos, outputs)
    VALUES (v_now, p_keep, p_token, v_lease.worker, p_counters, v_mine, v_agos, v_outputs);
    INSERT INTO errand.tally (queue, state, count) VALUES (p_queue, 3, -v_count), (p_queue, 4, v_count);
  END IF;
  RETURN (v_aside, v_unblocked.due)::errand.done;
END $$;

CREATE FUNCTION errand.finish(p_tokens int8[], p_seqs int8[], p_queues text[], p_states int2[], p_counters text[], p_reasons text[],
  p_keeps int8[], p_outputs text[], p_agos int8[], p_first_id uuid, p_last_id uuid) RETURNS errand.done LANGUAGE plpgsql ${planned} AS $$
DECLARE
  v_now int8 := errand.now_ms();
  v_named record;
  v_lease errand.leases;
  v_more record;
  v_unblocked errand.done := ('{}', false)::errand.done;
  v_seqs int8multirange := (SELECT range_agg(int8range(seq, seq + 1)) FROM unnest(p_seqs) seq);
  v_needed int8[];
  v_states int2[];
  v_outputs text[];
  v_mine int8multirange;
  v_aside int8multirange;
  v_done int8multirange := '{}';
BEGIN
  PERFORM 1 FROM errand.leases WHERE token = ANY (p_tokens) ORDER BY token FOR UPDATE;
  v_more := errand.in_need_of_more(v_seqs, p_first_id, p_last_id);
  v_aside := v_more.aside;
  IF NOT isempty(v_more.needed) THEN
    SELECT coalesce(array_agg(u.seq), '{}'), array_agg(u.state), array_agg(u.output) INTO v_needed, v_states, v_outputs
    FROM unnest(p_tokens, p_seqs, p_states, p_outputs) u (token, seq, state, output)
      CROSS JOIN LATERAL (SELECT held FROM errand.leases WHERE leases.token = u.token OFFSET 0) l
    WHERE v_more.needed @> u.seq AND l.held @> u.seq;
    v_unblocked := errand.unblock_all(v_needed, v_states, NULL, v_outputs, v_now);
    v_aside := v_aside + v_unblocked.aside;
  END IF;
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
  RETURN (v_seqs - v_done, v_unblocked.due)::errand.done;
END $$;
`

/** How many values `finish_alike` and `finish` take. */
const alikeWidth = 9
const finishWidth = 11

function placeholders(first: number, count: number): string {
  return Array.from({ length: count }, (_, at) => `$${first + at}`).join()
}

/** A statement that ends jobs by some calls, and then, behind `width` values, adds follow-ups. */
function ending(
  calls: readonly string[],
  before: string,
  width: number,
  isFollowed: boolean,
): string {
  const done = calls.map((_, at) => `(d${at}).aside`)
  const shown = calls.map((_, at) => `(d${at}).aside::text, (d${at}).due`)
  const follow = isFollowed ? [followed(done.join(' + '), width)] : []
  return `WITH done AS MATERIALIZED (SELECT ${before}${calls.map((call, at) => `${call} AS d${at}`).join()})
  SELECT ${[...shown, ...follow].join()} FROM done`
}

/** One call for several groups: as many statements as numbers of groups, few. */
function finishAlike(groups: number, isFollowed: boolean): string {
  const calls = Array.from(
    { length: groups },
    (_, group) => `errand.finish_alike(${placeholders(group * alikeWidth + 1, alikeWidth)})`,
  )
  const width = groups * alikeWidth
  if (groups === 1) return ending(calls, '', width, isFollowed)
  return ending(calls, `errand.hold_all(${placeholders(width + 1, 4)}),`, width + 4, isFollowed)
}

function finishEach(isFollowed: boolean): string {
  return ending([`errand.finish(${placeholders(1, finishWidth)})`], '', finishWidth, isFollowed)
}

export interface PlainDone {
  /** The places of those that are settled. */
  readonly places: ReadonlySet<number>
  /** Whether other jobs may be due now. */
  readonly isDue: boolean
}

export async function finishPlain(db: Database, plain: readonly Plain[]): Promise<PlainDone> {
  const places = new Set<number>()
  let isDue = false
  if (plain.length === 0) return { places, isDue }
  const { groups, others } = groupsOf(plain)
  const end = async (
    parts: readonly (readonly Plain[])[],
    statement: (isFollowed: boolean) => string,
    values: readonly unknown[],
  ): Promise<void> => {
    const follows = followUpsOf(parts.flat())
    const [answer = []] = await db.write(statement(follows !== null), [
      ...values,
      ...(follows ?? []),
    ])
    for (const [index, part] of parts.entries()) {
      // What is left alone here, `finish` would leave alone too.
      const aside = numbersIn(String(answer[2 * index]))
      for (const { place, leased } of part) if (!aside.has(leased.seq)) places.add(place)
      isDue ||= answer[2 * index + 1] === true
    }
    isDue ||= follows !== null
  }
  try {
    if (groups.length > 0) {
      const held = groups.length > 1 ? heldFirst(groups) : []
      await end(groups, (isFollowed) => finishAlike(groups.length, isFollowed), [
        ...groups.flatMap(columnsOf),
        ...held,
      ])
    }
    if (others.length > 0) await end([others], finishEach, columnsOfEach(others))
    return { places, isDue }
  } catch (error) {
    for (const {
      finish: { id },
      leased,
      place,
    } of plain)
      if (!places.has(place)) db.leased.set(id, leased)
    throw error
  }
}

/** What `hold_all` needs of several groups. */
function heldFirst(groups: readonly (readonly Plain[])[]): unknown[] {
  const all = groups.flat().sort((a, b) => a.leased.seq - b.leased.seq)
  return [
    numbers(groups.map(([first]) => first?.finish.token ?? 0)),
    ranges(all.map(({ leased }) => leased.seq)),
    ...endIds(all),
  ]
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
    ...endIds(group),
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

/** The least and the greatest of their ids, which are as the server wrote them. */
function endIds(plain: readonly Plain[]): readonly [string, string] {
  let first = plain[0]?.finish.id ?? ''
  let last = first
  for (const {
    finish: { id },
  } of plain) {
    if (id < first) first = id
    if (id > last) last = id
  }
  return [first, last]
}

/** What the server needs of jobs that are filed one by one. */
function columnsOfEach(plain: readonly Plain[]): unknown[] {
  return [
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
    ...endIds(plain),
  ]
}
