/** `settle`: writes what a worker decided about its jobs, if the jobs are still its own. */
import { keptAttempts } from '../../core/job.ts'
import type { SettleAnswer, Settlement } from '../../store/worker-calls.ts'
import type { Database } from './database.ts'
import type { Plain } from './plain-groups.ts'
import { finishPlain } from './settle-plain.ts'
import { packJob, recheck } from './insert.ts'
import { isOrdinary } from './insert-plain.ts'
import { apartPatienceMs, heldMs, planned } from './plan-settings.ts'
import { numbers, uuids } from './arrays.ts'
import { packCounters } from '../counters.ts'
import { codeOf } from '../state-codes.ts'
import type { Caller } from './transactions.ts'

/**
 * `settle` does whatever there is to do, job by job: locks the job, then its lease. It locks all of them first, in the order of their
 * numbers as `note` does, so that neither holds what the other waits for. With `p_apart` each settlement is a step of its own, and `3` is
 * answered for one that needs what a transaction of a user holds: the key of a follow-up, or a job that waits for this one and another
 * that just ends. `begin_own` prepares it for a user's transaction, and may run within it.
 */
export const settlingFunctions: string = `
CREATE FUNCTION errand.settle(p_settlements json, p_hint text, p_apart bool DEFAULT false) RETURNS text LANGUAGE plpgsql ${planned} AS $$
DECLARE
  v_now int8 := errand.now_ms();
  v_waits_until timestamptz := clock_timestamp() + interval '${apartPatienceMs} ms';
  v_named record;
  v_one json;
  v_answers text := '';
BEGIN
  IF p_hint IS NULL THEN PERFORM set_config('lock_timeout', errand.call_patience(), true); END IF;
  IF json_array_length(p_settlements) > 1 AND NOT p_apart THEN
    FOR v_named IN
      SELECT (SELECT j.seq FROM errand.jobs j WHERE j.id = (value->>'id')::uuid) AS seq, (value->>'token')::int8 AS token
      FROM json_array_elements(p_settlements) ORDER BY seq
    LOOP
      PERFORM 1 FROM errand.jobs WHERE seq = v_named.seq FOR UPDATE;
      PERFORM errand.own(v_named.seq, v_named.token);
    END LOOP;
  END IF;
  FOR v_one IN SELECT value FROM json_array_elements(p_settlements) LOOP
    v_answers := v_answers || CASE WHEN p_apart THEN errand.settle_apart(v_one, v_now, errand.ms_until(v_waits_until))
      ELSE errand.settle_one(v_one, v_now) END;
  END LOOP;
  IF p_hint IS NOT NULL AND v_answers ~ '1' THEN PERFORM errand.tell(p_hint); END IF;
  RETURN v_answers;
END $$;

CREATE FUNCTION errand.settle_apart(p json, p_now int8, p_patience_ms int) RETURNS text LANGUAGE plpgsql
SET lock_timeout = ${apartPatienceMs} AS $$
BEGIN
  PERFORM set_config('lock_timeout', p_patience_ms::text, true);
  RETURN errand.settle_one(p, p_now);
EXCEPTION WHEN lock_not_available THEN RETURN '3';
END $$;

CREATE FUNCTION errand.begin_own(p_ids uuid[], p_tokens int8[]) RETURNS void LANGUAGE plpgsql ${planned} SET lock_timeout = ${heldMs} AS $$
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
  v_weighed record;
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
  IF p->>'attempt' IS NOT NULL THEN
    v_job.attempts := (v_job.attempts || (p->>'attempt'))[greatest(cardinality(v_job.attempts) - ${keptAttempts - 2}, 1):];
  END IF;
  IF p->>'kind' = 'finish' THEN
    v_state := (p->>'state')::int;
    IF p->>'attempt' IS NOT NULL THEN UPDATE errand.jobs SET attempts = v_job.attempts WHERE seq = v_job.seq; END IF;
    PERFORM errand.end_job(v_job, 3, v_state, p->>'output', coalesce(p->>'reason', CASE WHEN v_state = 6 THEN v_cancel.reason END),
      (p->>'keepMs')::int8, v_token, v_run.worker,
      coalesce(v_run.started_at, p_now - (p->>'startedAgoMs')::int8), coalesce(v_counters, '0'), p_now);
  ELSE
    v_job.due_at := p_now + (p->>'delayMs')::int8;
    IF p->>'place' <> 'keep' THEN v_job.place := v_job.due_at - coalesce(v_job.head_start_ms, 0); END IF;
    v_job.suspect := v_job.suspect OR (p->>'suspect')::bool;
    v_job.counters := v_counters;
    v_job.token := v_token;
    v_job.worker := v_run.worker;
    IF (p->>'started')::bool THEN v_job.start_by := NULL; END IF;
    UPDATE errand.jobs SET due_at = v_job.due_at, place = v_job.place, start_by = v_job.start_by, suspect = v_job.suspect,
      counters = v_counters, token = v_token, worker = v_job.worker, attempts = v_job.attempts WHERE seq = v_job.seq;
    PERFORM 1 FROM errand.needs WHERE seq = v_job.seq;
    v_state := CASE WHEN FOUND AND (errand.weigh(v_job.seq)).waits THEN 0 WHEN (p->>'delayMs')::int8 > 0 THEN 1 ELSE 2 END;
    PERFORM errand.line_up(v_job, v_state);
    PERFORM errand.bind(v_job);
    PERFORM errand.tallied(v_job.queue, 3, v_state);
    PERFORM errand.rekey(v_job.unique_key, v_job.id, v_job.unique_during, v_job.unique_until, v_state, p_now);
  END IF;
  FOR v_follow IN SELECT value FROM json_array_elements(p->'followUps') LOOP
    PERFORM errand.insert_one(v_follow, nextval('errand.seqs'), p_now);
  END LOOP;
  IF p->>'kind' = 'finish' THEN
    PERFORM errand.release(v_job, v_state, (p->>'keepMs')::int8, p_now);
  ELSIF v_state = 0 THEN
    v_weighed := errand.weigh(v_job.seq);
    IF v_weighed.ends_as IS NOT NULL THEN
      PERFORM errand.end_waiting(v_job, 0, v_weighed.ends_as, 'need-failed', p_now);
      PERFORM errand.release(v_job, v_weighed.ends_as, v_job.keep_cancelled_ms, p_now);
    END IF;
  END IF;
  RETURN '1';
END $$;
`

const SETTLE = `SELECT errand.settle($1::text::json, $2)`
const SETTLE_APART = `SELECT errand.settle($1::text::json, $2, true)`
const OWN = `SELECT errand.begin_own($1, $2)`

const answers = ['stale', 'settled', 'cancel-asked', 'held'] as const
const heldMark = String(answers.indexOf('held'))

export async function settle(
  db: Database,
  settlements: readonly Settlement[],
  tx: Caller | null,
): Promise<SettleAnswer[]> {
  if (settlements.length === 0) return db.nothing([])
  if (tx !== null) return settleWithin(db, settlements, tx)
  const settled: SettleAnswer[] = settlements.map(() => 'settled')
  const { places, isDue } = await finishPlain(db, plainOf(db, settlements))
  if (places.size > 0) db.hints.give('finished')
  if (isDue) db.hints.give('work')
  const rest = restOf(settlements, places)
  if (rest.length === 0) return settled
  const others = rest.map((place) => settlements[place] as Settlement)
  const values = [JSON.stringify(others.map(packed)), null]
  const digits = await db.apart.settlements.run(heldMark, (isApart) =>
    db.value(isApart ? SETTLE_APART : SETTLE, values),
  )
  for (const [index, place] of rest.entries())
    settled[place] = answers[Number(digits[index])] ?? 'stale'
  await tellOf(db, others)
  return settled
}

/** The places of those that are still to be settled: what repeats one that just was is settled with it. */
function restOf(settlements: readonly Settlement[], done: ReadonlySet<number>): readonly number[] {
  if (done.size === settlements.length) return []
  const settled = new Set<string>()
  for (const place of done) settled.add(leaseOf(settlements[place] as Settlement))
  return settlements.flatMap((one, place) => (settled.has(leaseOf(one)) ? [] : [place]))
}

function leaseOf({ id, token }: Settlement): string {
  return `${id} ${token}`
}

/** Hints at what settlements may have changed beside their own jobs. */
async function tellOf(db: Database, settlements: readonly Settlement[]): Promise<void> {
  db.hints.give('finished')
  db.hints.give('work')
  await recheck(
    db,
    settlements.flatMap(({ followUps }) => followUps),
  )
}

/**
 * In the user's transaction: jobs are taken out of shared leases before, so that the transaction holds no more than their own. When no
 * connection is free for that it is done within, and then who claimed jobs along with them waits until the transaction ends.
 */
async function settleWithin(
  db: Database,
  settlements: readonly Settlement[],
  tx: Caller,
): Promise<SettleAnswer[]> {
  const ids = uuids(settlements.map(({ id }) => id))
  await db.beside(tx, OWN, [ids, numbers(settlements.map(({ token }) => token))])
  const digits = await tx(SETTLE, [JSON.stringify(settlements.map(packed)), 'work'])
  return Array.from(digits, (digit) => answers[Number(digit)] ?? 'stale')
}

/** Those that may go before the others of the call: nothing that stands before them speaks of their jobs. */
function plainOf(db: Database, settlements: readonly Settlement[]): Plain[] {
  const plain: Plain[] = []
  const spokenOf = new Set<string>()
  for (const [place, one] of settlements.entries()) {
    const isPlain = one.kind === 'finish' && one.attempt === null && one.followUps.every(isOrdinary)
    const leased = isPlain && !spokenOf.has(one.id) ? db.leased.take(one.id) : undefined
    if (isPlain && leased !== undefined) {
      plain.push({ finish: one, place, leased })
      continue
    }
    spokenOf.add(one.id)
    for (const { needs } of one.followUps) for (const { id } of needs) spokenOf.add(id)
  }
  return plain.sort((a, b) => a.leased.seq - b.leased.seq)
}

/** A settlement as the function of the schema reads it. */
function packed(one: Settlement): object {
  const { counters, followUps } = one
  const state = one.kind === 'finish' ? { state: codeOf(one.state) } : {}
  return { ...one, ...state, counters: packCounters(counters), followUps: followUps.map(packJob) }
}
