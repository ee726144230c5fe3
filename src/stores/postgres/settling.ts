/** `settle`: writes what a worker decided about its jobs, if the jobs are still its own. */
import { keptErrors } from '../../core/job.ts'
import type { Finish, SettleAnswer, Settlement } from '../../store.ts'
import type { Database } from './database.ts'
import { packJob, recheck } from './intake.ts'
import type { LeasedJob } from './leased.ts'
import { column, numbers, packCounters, ranges, texts, uuids } from './rows.ts'
import { codeOf } from './states.ts'
import type { Caller } from './transactions.ts'
import { planned } from './planned.ts'

/** Most groups of jobs that are filed together in one call. */
const mostGroups = 4
/** Fewer than this are filed one by one. */
const smallestBatch = 8
/** The longest output, in characters, that is filed with others. */
const longestInBatch = 1_000

/**
 * `finish_alike` completes jobs of one shared lease and one queue, all of them or none: it touches none of them, but writes the one row of
 * `batches`. `finish` ends jobs of shared leases that need no more than a row of history: each lease is locked, in the order of tokens, then
 * looked at with a new snapshot, so that a cancel, or a job that came to wait for one of these, is seen or waits itself. It answers
 * those that it left alone: not held any more, or in need of more. Jobs come in the order of their numbers. Per lease it walks the primary key of `leases` alone.
 *
 * `settle` does whatever there is to do, job by job: locks the job, then its lease. `begin_own` prepares it for a user's transaction.
 */
export const settlingFunctions: string = `
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

CREATE FUNCTION errand.drop_traces(p_seqs int8[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT 1 FROM errand.progress) THEN DELETE FROM errand.progress WHERE seq = ANY (p_seqs); END IF;
  IF EXISTS (SELECT 1 FROM errand.log) THEN DELETE FROM errand.log WHERE seq = ANY (p_seqs); END IF;
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
  IF 0 = ANY (p_keeps) THEN PERFORM errand.drop_traces(ARRAY(SELECT seq FROM unnest(p_seqs, p_keeps) u (seq, keep) WHERE keep <= 0 AND v_done @> seq)); END IF;
  RETURN ARRAY(SELECT seq FROM unnest(p_seqs) seq WHERE NOT v_done @> seq);
END $$;

CREATE FUNCTION errand.settle(p_settlements json, p_hint text) RETURNS text LANGUAGE plpgsql ${planned} AS $$
DECLARE
  v_now int8 := errand.now_ms();
  v_one json;
  v_answers text := '';
BEGIN
  IF p_hint IS NULL THEN PERFORM set_config('lock_timeout', '2000', true); END IF;
  FOR v_one IN SELECT value FROM json_array_elements(p_settlements) LOOP
    v_answers := v_answers || errand.settle_one(v_one, v_now);
  END LOOP;
  IF p_hint IS NOT NULL AND v_answers ~ '1' THEN PERFORM errand.tell(p_hint); END IF;
  RETURN v_answers;
END $$;

CREATE FUNCTION errand.begin_own(p_ids uuid[], p_tokens int8[]) RETURNS void LANGUAGE plpgsql ${planned} AS $$
DECLARE
  v_named record;
BEGIN
  FOR v_named IN SELECT j.seq, u.token FROM unnest(p_ids, p_tokens) u (id, token) JOIN errand.jobs j ON j.id = u.id ORDER BY j.seq LOOP
    CONTINUE WHEN errand.is_held(v_named.seq);
    PERFORM errand.own(v_named.seq, v_named.token);
    UPDATE errand.running SET started_at = errand.now_ms() WHERE seq = v_named.seq AND token = v_named.token AND started_at IS NULL;
  END LOOP;
END $$;

CREATE FUNCTION errand.settle_one(p json, p_now int8) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  v_job errand.jobs;
  v_run errand.running;
  v_token int8 := p->>'token';
  v_last int8;
  v_cancel errand.cancels;
  v_asked bool;
  v_state int;
  v_follow json;
  v_counters text := p->>'counters';
BEGIN
  SELECT * INTO v_job FROM errand.jobs WHERE id = (p->>'id')::uuid FOR UPDATE;
  IF NOT FOUND THEN RETURN '0'; END IF;
  v_run := errand.own(v_job.seq, v_token);
  IF v_run.seq IS NULL THEN
    SELECT token INTO v_last FROM errand.ending_of(v_job.seq);
    RETURN CASE WHEN v_token <> 0 AND coalesce(v_last, v_job.token) = v_token THEN '1' ELSE '0' END;
  END IF;
  SELECT * INTO v_cancel FROM errand.cancels WHERE seq = v_job.seq;
  v_asked := FOUND;
  IF v_asked AND (p->>'yieldsToCancel')::bool THEN RETURN '2'; END IF;
  DELETE FROM errand.running WHERE seq = v_job.seq;
  IF v_asked THEN DELETE FROM errand.cancels WHERE seq = v_job.seq; END IF;
  IF p->>'error' IS NOT NULL THEN
    v_job.errors := (v_job.errors || (p->>'error'))[greatest(cardinality(v_job.errors) - ${keptErrors - 2}, 1):];
  END IF;
  IF p->>'kind' = 'finish' THEN
    v_state := (p->>'state')::int;
    IF p->>'error' IS NOT NULL THEN UPDATE errand.jobs SET errors = v_job.errors WHERE seq = v_job.seq; END IF;
    PERFORM errand.end_job(v_job, 3, v_state, p->>'output', coalesce(p->>'reason', CASE WHEN v_state = 6 THEN v_cancel.reason END),
      (p->>'keepMs')::int8, v_token, v_run.worker,
      coalesce(v_run.started_at, p_now - (p->>'startedAgoMs')::int8), coalesce(v_counters, '0'), p_now);
  ELSE
    v_job.due_at := p_now + (p->>'delayMs')::int8;
    IF p->>'place' <> 'keep' THEN v_job.place := v_job.due_at; END IF;
    v_job.suspect := v_job.suspect OR (p->>'suspect')::bool;
    v_job.counters := v_counters;
    IF (p->>'started')::bool THEN v_job.start_by := NULL; END IF;
    UPDATE errand.jobs SET due_at = v_job.due_at, place = v_job.place, start_by = v_job.start_by, suspect = v_job.suspect,
      counters = v_counters, token = v_token, worker = v_run.worker, errors = v_job.errors WHERE seq = v_job.seq;
    PERFORM 1 FROM errand.needs WHERE seq = v_job.seq;
    v_state := CASE WHEN FOUND AND errand.weigh(v_job.seq) <> 'met' THEN 0 WHEN (p->>'delayMs')::int8 > 0 THEN 1 ELSE 2 END;
    PERFORM errand.line_up(v_job, v_state);
    PERFORM errand.bind(v_job);
    PERFORM errand.tallied(v_job.queue, 3, v_state);
    PERFORM errand.rekey(v_job.unique_key, v_job.id, v_job.unique_during, v_job.unique_until, v_state, p_now);
  END IF;
  FOR v_follow IN SELECT value FROM json_array_elements(p->'followUps') LOOP
    PERFORM errand.insert_one(v_follow, p_now);
  END LOOP;
  IF p->>'kind' = 'finish' THEN
    PERFORM errand.release(v_job, v_state, (p->>'keepMs')::int8, p_now);
  ELSIF v_state = 0 AND errand.weigh(v_job.seq) = 'cancel' THEN
    PERFORM errand.cancel_waiting(v_job, 0, 'need-failed', p_now);
    PERFORM errand.release(v_job, 6, v_job.keep_cancelled_ms, p_now);
  END IF;
  RETURN '1';
END $$;
`

/** One call for several groups: as many statements as numbers of groups, few. */
const finishAlike = (groups: number): string =>
  `SELECT ${Array.from({ length: groups }, (_, group) => `errand.finish_alike(${Array.from({ length: 7 }, (_, at) => `$${group * 7 + at + 1}`).join()})`).join()}`
const FINISH = `SELECT errand.finish($1, $2, $3, $4, $5, $6, $7, $8, $9)`
const SETTLE = `SELECT errand.settle($1::text::json, $2)`
const OWN = `SELECT errand.begin_own($1, $2)`

const answers = ['stale', 'settled', 'cancel-asked'] as const

/** A settlement that needs no more than a row of history, with its place in the call and the number of its job. */
interface Plain {
  readonly finish: Finish
  readonly place: number
  readonly leased: LeasedJob
}

export async function settle(
  db: Database,
  settlements: readonly Settlement[],
  tx: Caller | null,
): Promise<SettleAnswer[]> {
  if (settlements.length === 0) return db.nothing([])
  await db.know(settlements.flatMap(({ followUps }) => followUps.map(({ queue }) => queue)))
  if (tx !== null) return settleWithin(db, settlements, tx)
  const settled: SettleAnswer[] = settlements.map(() => 'settled')
  const done = await finishPlain(db, plainOf(db, settlements))
  if (done.size > 0) db.hints.give('finished')
  const rest = settlements.flatMap((_, place) => (done.has(place) ? [] : [place]))
  if (rest.length === 0) return settled
  const others = rest.map((place) => settlements[place] as Settlement)
  const digits = await db.value(SETTLE, [JSON.stringify(others.map(packed)), null])
  for (const [index, place] of rest.entries())
    settled[place] = answers[Number(digits[index])] ?? 'stale'
  await tellOf(db, others)
  return settled
}

/** Hints at what settlements may have changed beside their own jobs. */
async function tellOf(db: Database, settlements: readonly Settlement[]): Promise<void> {
  db.hints.give('finished')
  db.hints.give('work')
  if (settlements.some(({ followUps }) => followUps.some(({ needs }) => needs.length > 0)))
    await recheck(db)
}

/** In the user's transaction: jobs are taken out of shared leases before, so that the transaction holds no more than their own. */
async function settleWithin(
  db: Database,
  settlements: readonly Settlement[],
  tx: Caller,
): Promise<SettleAnswer[]> {
  const ids = uuids(settlements.map(({ id }) => id))
  await db.value(OWN, [ids, numbers(settlements.map(({ token }) => token))])
  const digits = await tx(SETTLE, [JSON.stringify(settlements.map(packed)), 'work'])
  return Array.from(digits, (digit) => answers[Number(digit)] ?? 'stale')
}

function plainOf(db: Database, settlements: readonly Settlement[]): Plain[] {
  const plain: Plain[] = []
  for (const [place, one] of settlements.entries()) {
    if (one.kind !== 'finish' || one.error !== null || one.followUps.length > 0) continue
    const leased = db.leased.take(one.id)
    if (leased !== undefined) plain.push({ finish: one, place, leased })
  }
  return plain.sort((a, b) => a.leased.seq - b.leased.seq)
}

/** Answers the places of those that are settled. */
async function finishPlain(db: Database, plain: readonly Plain[]): Promise<ReadonlySet<number>> {
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
  for (const one of plain) {
    const { token, state, reason, keepMs, counters, output } = one.finish
    if (state !== 'completed' || reason !== null || (output?.length ?? 0) > longestInBatch) {
      others.push(one)
      continue
    }
    const kind = `${token}\t${keepMs}\t${packCounters(counters)}\t${one.leased.queue}`
    const group = found.get(kind)
    if (group === undefined) found.set(kind, [one])
    else group.push(one)
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

/** A settlement as the function of the schema reads it. */
function packed(one: Settlement): object {
  const { counters, followUps } = one
  const state = one.kind === 'finish' ? { state: codeOf(one.state) } : {}
  return { ...one, ...state, counters: packCounters(counters), followUps: followUps.map(packJob) }
}
