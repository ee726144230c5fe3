/** Handing out jobs that are ready. */
import { handedBytes } from '../../core/job.ts'
import type { Claimed, ClaimRequest, NextDue } from '../../store/worker-calls.ts'
import type { Database } from './database.ts'
import { factsDeclared, factsOfJob } from './job-columns.ts'
import { bounded, column, numbers, texts } from './arrays.ts'
import { handedColumns, readClaimed, readHeader, seqOf, type Row } from './rows.ts'
import { planned } from './plan-settings.ts'
import { slept } from '../slept.ts'

/**
 * The head of each queue in order, run by run: walks the index of `ready`, locks the runs that it
 * takes and skips what others hold. A run of which only a part is wanted keeps the rest by moving
 * its `first`, which is in no index. Runs are looked at a few at a time, and then as many as there
 * can be. A look without a lock tells behind which dead rows they begin, and how many of them give
 * enough jobs: no more are locked, so that others find the rest.
 *
 * A run that another claim has just shortened is locked in its new form, but not seen yet by the
 * statement that found it: only what was really taken counts, and the next look, with a new
 * snapshot, finds the rest.
 *
 * A suspect is leased alone: it comes only as the first job of a call, and then it is the only one;
 * otherwise ordinary jobs go on as if suspects were not there. `locks_before` tries to lock a run
 * that stands before a suspect, for its claim to take: one that another claim is taking stands
 * before no suspect, and one that stands behind it is not locked, so that a third claim finds it.
 *
 * A claim of ordinary jobs waits for no disk: one that a crash takes back leaves its jobs ready,
 * and its token is never given again, so that what its worker settles is stale. Whatever is written
 * later (a start that must come before its run, an end) takes the claim to the disk with it. A
 * suspect's start is written by the claim itself, which is why that waits.
 *
 * Inputs, and what needed jobs left, are counted only where a run is special, once its jobs are taken: `cut_to_size` puts those
 * back that are too many, so that what travels is bounded.
 *
 * The first row of an answer is no job: it tells the time, when the next job is due, how many dead
 * rows the walk stepped over, where it ended in each priority, whether it passed by work that
 * others held, or by a suspect, and how many rows were read to find the queues that have work.
 *
 * Queues that have no work are passed by, at a step in an index each; those that are not named are
 * found from one to the next by `next_busy`. So names that were used once cost nothing, and none is
 * kept.
 *
 * A claim with an id leaves it in `claims` with its token, once it has its jobs: `note_claim` waits
 * there for another with the same id, and if that was carried out, this one is taken back and sent
 * again, and finds what it did. A repeat returns what is under the token still: `claimed_as` walks
 * the primary key of `leases`, and reads `running`, which holds no more than what runs. A claim
 * without an id does nothing of this.
 *
 * `p_after` names, for queues whose head is full of dead rows, places from which to look, one for
 * each priority in which there is one: the walk then goes from each place to where the next of
 * these priorities begins. See `Heads`.
 */
export const claimFunctions: string = `
CREATE TYPE errand.handed AS (${factsDeclared}, counters text, token int8, started_at int8, cancel_asked bool, why text);

CREATE FUNCTION errand.is_busy(p_queue text) RETURNS bool LANGUAGE sql STABLE AS $$
  SELECT coalesce((SELECT true FROM errand.ready WHERE queue = p_queue LIMIT 1), (SELECT true FROM errand.suspects WHERE queue = p_queue LIMIT 1), false)
$$;

CREATE FUNCTION errand.next_busy(p_after text) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT least(
    (SELECT queue FROM errand.ready WHERE queue > p_after ORDER BY queue LIMIT 1),
    (SELECT queue FROM errand.suspects WHERE queue > p_after ORDER BY queue LIMIT 1))
$$;

CREATE FUNCTION errand.locks_before(p_suspect errand.suspects) RETURNS bool LANGUAGE plpgsql AS $$
DECLARE
  v_run record;
BEGIN
  FOR v_run IN
    SELECT ctid FROM errand.ready
    WHERE queue = p_suspect.queue AND (priority, place) <= (p_suspect.priority, p_suspect.place)
      AND (priority, place, first) < (p_suspect.priority, p_suspect.place, p_suspect.seq)
    ORDER BY priority, place, last LIMIT 100
  LOOP
    PERFORM 1 FROM errand.ready WHERE ctid = v_run.ctid FOR UPDATE SKIP LOCKED;
    IF FOUND THEN RETURN true; END IF;
  END LOOP;
  RETURN false;
END $$;

CREATE FUNCTION errand.claim(p_worker text, p_queues text[], p_limits int[], p_others int, p_limit int, p_lease_ms int8,
  p_max_losses int, p_after text[], p_id text, p_may_look bool) RETURNS SETOF errand.handed LANGUAGE plpgsql ROWS 500 ${planned} AS $$
DECLARE
  v_now int8 := errand.now_ms();
  v_has_suspects bool := false;
  v_queue record;
  v_suspect errand.suspects;
  v_taken int := 0;
  v_most int;
  v_look int;
  v_part record;
  v_firsts int8[] := '{}';
  v_lasts int8[] := '{}';
  v_special bool := false;
  v_token int8;
  v_job errand.jobs;
  v_passed bool := false;
  v_waits bool; -- a suspect, held by another claim or behind what another may be taking just now
  v_seen int8 := 0;
  v_due int8;
  v_walked int8 := 0;
  v_searched int8 := -pg_stat_get_xact_tuples_returned('errand.ready_line'::regclass);
  v_ends text := '';
  v_low_priority int2;
  v_low_place int8;
  v_low_last int8;
  v_places text[];
  v_place int;
  v_below int;
  v_cut bool := false;
BEGIN
  SELECT due_at INTO v_due FROM errand.scheduled ORDER BY due_at LIMIT 1;
  IF v_due <= v_now THEN
    PERFORM errand.promote(v_now);
    SELECT due_at INTO v_due FROM errand.scheduled ORDER BY due_at LIMIT 1;
  END IF;
  IF p_id IS NOT NULL AND EXISTS (SELECT 1 FROM errand.claims WHERE id = p_id AND until > v_now) THEN
    RETURN NEXT errand.header(v_now, v_due, 0, 0, '');
    RETURN QUERY SELECT * FROM errand.claimed_as(p_id);
    RETURN;
  END IF;
  IF p_max_losses IS NOT NULL THEN SELECT EXISTS (SELECT 1 FROM errand.suspects) INTO v_has_suspects; END IF;
  FOR v_queue IN
    SELECT * FROM (
      SELECT q.name, q.most, p_after[q.o] AS after FROM unnest(p_queues, p_limits) WITH ORDINALITY q (name, most, o)
      WHERE q.most > 0 AND p_limit > 0 AND (p_after[q.o] IS NOT NULL OR errand.is_busy(q.name))
        AND NOT EXISTS (SELECT 1 FROM errand.paused WHERE queue = q.name) ORDER BY q.o) named
    UNION ALL
    SELECT * FROM (
      WITH RECURSIVE busy (name) AS (
        SELECT errand.next_busy('') WHERE p_others > 0 AND p_limit > 0
        UNION ALL SELECT errand.next_busy(name) FROM busy WHERE name IS NOT NULL)
      SELECT name, p_others, NULL::text FROM busy
      WHERE name <> ALL (p_queues) AND NOT EXISTS (SELECT 1 FROM errand.paused WHERE queue = busy.name)) others
  LOOP
    v_most := least(v_queue.most, p_limit - v_taken);
    EXIT WHEN v_most <= 0;
    v_walked := v_walked - pg_stat_get_xact_tuples_returned('errand.ready_line'::regclass);
    v_waits := false;
    IF v_has_suspects AND v_taken = 0 THEN
      FOR v_suspect IN
        SELECT * FROM errand.suspects WHERE queue = v_queue.name AND losses <= p_max_losses ORDER BY priority, place, seq LIMIT 100
      LOOP
        EXIT WHEN errand.locks_before(v_suspect);
        PERFORM 1 FROM errand.suspects WHERE queue = v_suspect.queue AND priority = v_suspect.priority
          AND place = v_suspect.place AND seq = v_suspect.seq FOR UPDATE SKIP LOCKED;
        CONTINUE WHEN NOT FOUND;
        DELETE FROM errand.suspects WHERE queue = v_suspect.queue AND priority = v_suspect.priority
          AND place = v_suspect.place AND seq = v_suspect.seq;
        v_token := errand.new_token();
        INSERT INTO errand.running (seq, token, worker, lease_until, started_at)
        VALUES (v_suspect.seq, v_token, p_worker, v_now + p_lease_ms, v_now);
        PERFORM errand.tallied(v_suspect.queue, 2, 3);
        RETURN NEXT errand.header(v_now, v_due, 0, 0, '');
        SELECT * INTO v_job FROM errand.jobs WHERE seq = v_suspect.seq;
        PERFORM errand.unbind(v_job);
        PERFORM errand.rekey(v_job.unique_key, v_job.id, v_job.unique_during, v_job.unique_until, 3, v_now);
        RETURN NEXT errand.handed_of(v_job, v_token, v_now, false, errand.needed_of(v_job.wants, v_job.group_id));
        IF p_id IS NOT NULL THEN PERFORM errand.note_claim(p_id, v_token, v_now, v_now + p_lease_ms); END IF;
        RETURN;
      END LOOP;
      v_waits := EXISTS (SELECT 1 FROM errand.suspects WHERE queue = v_queue.name AND losses <= p_max_losses);
    END IF;
    v_look := 4;
    v_places := string_to_array(v_queue.after, ';');
    v_place := 0;
    v_low_priority := -32768;
    v_low_place := 0;
    v_low_last := 0;
    v_below := coalesce(split_part(v_places[1], ',', 1), '32768');
    LOOP
      EXIT WHEN v_most <= 0;
      v_look := least(v_look, v_most);
      WITH ahead AS MATERIALIZED (
        SELECT priority, place, last, sum(last - first + 1) OVER (ORDER BY priority, place, last) - (last - first + 1) AS before FROM (
          SELECT priority, place, first, last FROM errand.ready
          WHERE queue = v_queue.name
            AND (priority, place, last) > (v_low_priority, v_low_place, v_low_last) AND priority < v_below
          ORDER BY priority, place, last LIMIT v_look) r),
      edge AS MATERIALIZED (SELECT priority, place, last FROM ahead ORDER BY before LIMIT 1),
      head AS MATERIALIZED (
        SELECT ctid, priority, place, first, last, special FROM errand.ready
        WHERE queue = v_queue.name
          AND (priority, place, last) >= ((SELECT priority FROM edge), (SELECT place FROM edge), (SELECT last FROM edge)) AND priority < v_below
        ORDER BY priority, place, last LIMIT (SELECT count(*) FROM ahead WHERE before < v_most) FOR UPDATE SKIP LOCKED),
      counted AS (
        SELECT *, v_most - sum(last - first + 1) OVER (ORDER BY priority, place, last) + (last - first + 1) AS room FROM head),
      part AS MATERIALIZED (
        SELECT ctid, priority, place, first, last, special, least(last, first + room::int8 - 1) AS upto FROM counted WHERE room > 0),
      gone AS (
        DELETE FROM errand.ready r USING part p WHERE r.ctid = p.ctid AND p.upto = p.last
        RETURNING p.priority, p.place, p.first, p.last, p.special, p.upto),
      kept AS (
        UPDATE errand.ready r SET first = p.upto + 1 FROM part p WHERE r.ctid = p.ctid AND p.upto < p.last
        RETURNING p.priority, p.place, p.first, p.last, p.special, p.upto),
      taken AS (SELECT * FROM gone UNION ALL SELECT * FROM kept)
      SELECT count(*) AS runs, sum(upto - first + 1) AS jobs, bool_or(special) AS special,
        array_agg(first ORDER BY priority, place, last) AS firsts, array_agg(upto ORDER BY priority, place, last) AS lasts,
        (SELECT count(*) FROM head) AS seen,
        (SELECT count(*) FROM ahead) AS there,
        (SELECT count(*) FROM ahead WHERE before < v_most) AS wanted,
        (SELECT string_agg(v_queue.name || E'\\t' || priority || ',' || place || ',' || stop || E'\\n', '') FROM (
          SELECT DISTINCT ON (priority) priority, place, last - CASE WHEN upto < last THEN 1 ELSE 0 END AS stop FROM taken
          ORDER BY priority, place DESC, last DESC) s) AS stops
      INTO v_part FROM taken;
      v_seen := v_seen + v_part.seen + v_part.there;
      IF v_part.runs > 0 THEN
        v_firsts := v_firsts || v_part.firsts;
        v_lasts := v_lasts || v_part.lasts;
        v_special := v_special OR v_part.special;
        v_taken := v_taken + v_part.jobs;
        v_most := v_most - v_part.jobs;
        INSERT INTO errand.tally (queue, state, count) VALUES (v_queue.name, 2, -v_part.jobs), (v_queue.name, 3, v_part.jobs);
        v_ends := v_ends || v_part.stops;
      END IF;
      IF v_part.seen < v_part.wanted OR (v_part.wanted = v_part.there AND v_part.there < v_look) THEN
        IF v_place < cardinality(v_places) THEN
          v_place := v_place + 1;
          v_low_priority := split_part(v_places[v_place], ',', 1);
          v_low_place := split_part(v_places[v_place], ',', 2);
          v_low_last := split_part(v_places[v_place], ',', 3);
          v_below := coalesce(split_part(v_places[v_place + 1], ',', 1), '32768');
          CONTINUE;
        END IF;
        v_passed := v_passed OR (v_taken = 0 AND (v_waits
          OR (v_queue.after IS NULL AND EXISTS (SELECT 1 FROM errand.ready WHERE queue = v_queue.name))));
        EXIT;
      END IF;
      v_look := 1000;
    END LOOP;
    v_walked := v_walked + pg_stat_get_xact_tuples_returned('errand.ready_line'::regclass);
  END LOOP;
  IF v_special AND v_taken > 1 THEN
    SELECT * INTO v_firsts, v_lasts, v_cut FROM errand.cut_to_size(v_firsts, v_lasts);
    -- The walk goes on where it was cut, before these ends.
    IF v_cut THEN v_ends := ''; END IF;
  END IF;
  v_searched := v_searched - v_walked
    + pg_stat_get_xact_tuples_returned('errand.ready_line'::regclass);
  RETURN NEXT errand.header(v_now, v_due, v_walked - v_seen, v_passed::int + 2 * v_cut::int, v_ends,
    v_searched);
  IF v_taken = 0 THEN
    -- A claim that is to look once more has not found nothing yet.
    IF p_id IS NOT NULL AND NOT (p_may_look AND (v_passed OR p_after IS NOT NULL)) THEN
      PERFORM errand.note_claim(p_id, 0, v_now, v_now + p_lease_ms);
    END IF;
    RETURN;
  END IF;
  PERFORM set_config('synchronous_commit', 'off', true);
  v_token := errand.new_token();
  IF p_id IS NOT NULL THEN PERFORM errand.note_claim(p_id, v_token, v_now, v_now + p_lease_ms); END IF;
  INSERT INTO errand.leases (token, worker, until, held)
  SELECT v_token, p_worker, v_now + p_lease_ms, range_agg(int8range(f, l + 1)) FROM unnest(v_firsts, v_lasts) u (f, l);
  IF v_special THEN
    FOR v_job IN SELECT j.* FROM unnest(v_firsts, v_lasts) WITH ORDINALITY u (f, l, o) JOIN errand.jobs j ON j.seq BETWEEN u.f AND u.l
      WHERE errand.is_special(j) ORDER BY j.unique_key, u.o, j.seq
    LOOP
      PERFORM errand.unbind(v_job);
      PERFORM errand.rekey(v_job.unique_key, v_job.id, v_job.unique_during, v_job.unique_until, 3, v_now);
    END LOOP;
  END IF;
  RETURN QUERY
    SELECT ${factsOfJob}, j.counters, v_token, NULL::int8, false,
      CASE WHEN v_special THEN errand.needed_of(j.wants, j.group_id) END
    FROM unnest(v_firsts, v_lasts) WITH ORDINALITY u (f, l, o)
    CROSS JOIN LATERAL (SELECT * FROM errand.jobs WHERE seq BETWEEN u.f AND u.l ORDER BY seq) j ORDER BY u.o;
END $$;

CREATE FUNCTION errand.cut_to_size(p_firsts int8[], p_lasts int8[], OUT firsts int8[], OUT lasts int8[], OUT cut bool) LANGUAGE plpgsql AS $$
DECLARE
  v_size int8 := 0;
  v_job record;
BEGIN
  firsts := p_firsts;
  lasts := p_lasts;
  cut := false;
  FOR v_job IN
    SELECT u.o, u.l, j.seq, j.size FROM unnest(p_firsts, p_lasts) WITH ORDINALITY u (f, l, o)
    CROSS JOIN LATERAL (SELECT seq, octet_length(input) + CASE WHEN wants IS NULL THEN 0 ELSE errand.needed_size(wants, group_id) END AS size
      FROM errand.jobs WHERE seq BETWEEN u.f AND u.l ORDER BY seq) j ORDER BY u.o, j.seq
  LOOP
    cut := v_size >= ${handedBytes};
    EXIT WHEN cut;
    v_size := v_size + v_job.size;
  END LOOP;
  IF NOT cut THEN RETURN; END IF;
  WITH back AS MATERIALIZED (
    SELECT CASE WHEN o = v_job.o THEN v_job.seq ELSE f END AS first, l AS last
    FROM unnest(p_firsts, p_lasts) WITH ORDINALITY u (f, l, o) WHERE o >= v_job.o),
  lined_up AS (
    INSERT INTO errand.ready (queue, priority, place, first, last, special)
    SELECT j.queue, j.priority, j.place, b.first, b.last, true FROM back b JOIN errand.jobs j ON j.seq = b.first
    RETURNING queue, last - first + 1 AS count)
  INSERT INTO errand.tally (queue, state, count)
  SELECT queue, state, sum(CASE WHEN state = 2 THEN count ELSE -count END) FROM lined_up, unnest(ARRAY[2, 3]) state GROUP BY 1, 2;
  firsts := p_firsts[:v_job.o];
  lasts := p_lasts[:v_job.o - 1] || (v_job.seq - 1);
  IF lasts[v_job.o] < firsts[v_job.o] THEN
    firsts := p_firsts[:v_job.o - 1];
    lasts := p_lasts[:v_job.o - 1];
  END IF;
END $$;

CREATE FUNCTION errand.note_claim(p_id text, p_token int8, p_now int8, p_until int8) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO errand.claims (id, token, until) VALUES (p_id, p_token, p_until)
  ON CONFLICT (id) DO UPDATE SET token = p_token, until = p_until WHERE claims.until <= p_now;
  IF NOT FOUND THEN RAISE serialization_failure USING MESSAGE = 'the claim ' || p_id || ' was just carried out by its repeat'; END IF;
END $$;

CREATE FUNCTION errand.claimed_as(p_id text) RETURNS SETOF errand.handed LANGUAGE plpgsql AS $$
DECLARE
  v_token int8 := (SELECT token FROM errand.claims WHERE id = p_id);
BEGIN
  RETURN QUERY
    SELECT ${factsOfJob}, j.counters, v_token, held.started_at, EXISTS (SELECT 1 FROM errand.cancels c WHERE c.seq = j.seq),
      errand.needed_of(j.wants, j.group_id)
    FROM (
      SELECT generate_series(lower(r), upper(r) - 1) AS seq, NULL::int8 AS started_at
      FROM errand.leases, unnest(leases.held) r WHERE leases.token = v_token
      UNION ALL SELECT running.seq, running.started_at FROM errand.running WHERE running.token = v_token) held
    CROSS JOIN LATERAL (SELECT * FROM errand.jobs WHERE jobs.seq = held.seq OFFSET 0) j ORDER BY j.priority, j.place, j.seq;
END $$;

CREATE FUNCTION errand.header(p_now int8, p_due int8, p_walk int8, p_flags int, p_ends text,
  p_searched int8 DEFAULT 0) RETURNS errand.handed LANGUAGE plpgsql AS $$
DECLARE
  v_row errand.handed;
BEGIN
  v_row.created_at := p_now;
  v_row.due_at := coalesce(p_due, -1);
  v_row.token := p_walk;
  v_row.priority := p_flags;
  v_row.queue := p_searched::text;
  v_row.task := p_ends;
  RETURN v_row;
END $$;

CREATE FUNCTION errand.handed_of(j errand.jobs, p_token int8, p_started int8, p_asked bool, p_why text) RETURNS errand.handed
LANGUAGE sql AS $$
  SELECT (${factsOfJob}, j.counters, p_token, p_started, p_asked, p_why)::errand.handed
$$;
`

const CLAIM = `SELECT ${handedColumns} FROM errand.claim($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`

/** How often and how long to look again when all work was just being taken by others. */
const looks = 5
const lookAgainMs = 2

export async function claim(db: Database, request: ClaimRequest): Promise<Claimed & NextDue> {
  const { worker, queues, others, limit, leaseMs, maxLosses, id } = request
  const names = queues.map(({ name }) => name)
  const limits = numbers(queues.map((queue) => bounded(queue.limit)))
  for (let look = 1; ; look += 1) {
    const after = db.heads.after(names)
    // A call that may be repeated must not have found nothing before it has looked everywhere.
    const mayLeave = id === null && queues.some((queue) => queue.limit > 0)
    const asksOthers = others > 0 && !(mayLeave && db.heads.leavesOthers())
    const [header, ...rows] = await db.write(CLAIM, [
      worker,
      texts(names),
      limits,
      asksOthers ? bounded(others) : 0,
      bounded(limit),
      leaseMs,
      maxLosses === null ? null : bounded(maxLosses),
      column(after, texts),
      id,
      look < looks,
    ])
    if (header === undefined) throw new TypeError('claim returned nothing')
    const { now, dueAt, dead, ends, searched, passed, cut } = readHeader(header)
    const jobs = readClaimed(rows)
    const restMs = db.heads.walked(names, after, dead, ends)
    if (asksOthers) db.heads.searched(searched, !jobs.every(({ queue }) => names.includes(queue)))
    const othersMs = others > 0 ? db.heads.othersRestMs() : null
    if (rows.length === 0 && look < looks) {
      if (db.heads.mayLookBefore(names, after)) continue
      if (!asksOthers && others > 0 && db.heads.mayAskOthers()) continue
      if (passed) {
        await slept(lookAgainMs * look * (0.5 + Math.random()))
        continue
      }
    }
    for (const [at, { id, queue, uniqueKey, startedAt }] of jobs.entries())
      if (uniqueKey === null && startedAt === null)
        db.leased.set(id, { seq: seqOf(rows[at] as Row), queue })
    const dueMs = dueAt === null ? null : Math.max(0, dueAt - now)
    const waits = [dueMs, jobs.length > 0 ? null : restMs, othersMs].filter((ms) => ms !== null)
    const nextDueMs = waits.length > 0 ? Math.min(...waits) : null
    return { now, jobs, cut, nextDueMs }
  }
}
