/** Leases: shared ones of whole claims, and those of single jobs. What a worker says about jobs while they run: `renew` and `note`. */
import { keptLogLines } from '../../core/job.ts'
import type { LeaseRef, Note, NoteAnswer, RenewAnswer } from '../../store/worker-calls.ts'
import type { Database } from './database.ts'
import { uuids } from './arrays.ts'
import { patienceMs, planned } from './plan-settings.ts'

/** How long a renewal waits, for all its jobs together: longer than other calls, since it holds nothing that others wait for. */
const renewalPatienceMs = 400

/**
 * `unshare` takes a job out of a shared lease, whose row the caller has locked, and gives it a lease of its own.
 * `own` does so for the holder of a token and answers the job's own lease, locked; null when the token is stale.
 *
 * `renew` extends a shared lease as a whole when all that it still holds is named, else takes out what is named. Of jobs with a lease of
 * their own it first extends those that are free, and answers 3 for the rest. A second call waits for these, in their order and not long in all;
 * what is still locked then is held by somebody's transaction, and taken as alive. One call would hold what was free while it waits for
 * the rest, as `note` may, which locks in the same order: each would take the other for somebody's transaction.
 */
export const leaseFunctions: string = `
CREATE FUNCTION errand.shrink(p_token int8, p_by int8multirange) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  UPDATE errand.leases SET held = held - p_by WHERE token = p_token AND NOT held <@ p_by;
  IF NOT FOUND THEN DELETE FROM errand.leases WHERE token = p_token; END IF;
END $$;

CREATE FUNCTION errand.unshare(p_lease errand.leases, p_seq int8) RETURNS errand.running LANGUAGE plpgsql AS $$
DECLARE
  v_running errand.running;
BEGIN
  PERFORM errand.shrink(p_lease.token, int8multirange(int8range(p_seq, p_seq + 1)));
  INSERT INTO errand.running (seq, token, worker, lease_until) VALUES (p_seq, p_lease.token, p_lease.worker, p_lease.until)
  RETURNING * INTO v_running;
  RETURN v_running;
END $$;

CREATE FUNCTION errand.own(p_seq int8, p_token int8) RETURNS errand.running LANGUAGE plpgsql AS $$
DECLARE
  v_running errand.running;
  v_lease errand.leases;
BEGIN
  FOR attempt IN 1..2 LOOP
    SELECT * INTO v_running FROM errand.running WHERE seq = p_seq FOR UPDATE;
    IF FOUND THEN
      IF v_running.token = p_token THEN RETURN v_running; END IF;
      RETURN NULL;
    END IF;
    SELECT * INTO v_lease FROM errand.leases WHERE token = p_token FOR UPDATE;
    IF FOUND AND v_lease.held @> p_seq THEN RETURN errand.unshare(v_lease, p_seq); END IF;
  END LOOP;
  RETURN NULL;
END $$;

CREATE FUNCTION errand.is_held(p_seq int8, p_patience_ms int DEFAULT ${patienceMs}) RETURNS bool LANGUAGE plpgsql
SET lock_timeout = ${patienceMs} AS $$
BEGIN
  PERFORM 1 FROM errand.running WHERE seq = p_seq FOR UPDATE SKIP LOCKED;
  IF FOUND OR NOT EXISTS (SELECT 1 FROM errand.running WHERE seq = p_seq) THEN RETURN false; END IF;
  PERFORM set_config('lock_timeout', p_patience_ms::text, true);
  BEGIN
    PERFORM 1 FROM errand.running WHERE seq = p_seq FOR UPDATE;
    RETURN false;
  EXCEPTION WHEN lock_not_available THEN
    RETURN true;
  END;
END $$;

CREATE FUNCTION errand.renew(p_ids uuid[], p_tokens int8[], p_lease_ms int8, p_waits bool) RETURNS text LANGUAGE plpgsql ${planned} AS $$
DECLARE
  v_until int8 := errand.now_ms() + p_lease_ms;
  v_waits_until timestamptz := clock_timestamp() + interval '${renewalPatienceMs} ms';
  v_named record;
  v_lease errand.leases;
  v_mine int8multirange;
  v_seqs int8[];
  v_alive int8[] := '{}';
  v_tokens int8[] := '{}'; -- of those in v_alive: another lease of the same job may be named beside the one that holds
  v_taken int8[];
  v_taken_tokens int8[];
BEGIN
  SELECT array_agg(j.seq ORDER BY u.o) INTO v_seqs
  FROM unnest(p_ids) WITH ORDINALITY u (id, o) LEFT JOIN errand.jobs j ON j.id = u.id;
  FOR v_named IN
    SELECT token, range_agg(int8range(seq, seq + 1)) AS asked FROM unnest(p_tokens, v_seqs) u (token, seq)
    WHERE seq IS NOT NULL GROUP BY token ORDER BY token
  LOOP
    SELECT * INTO v_lease FROM errand.leases WHERE token = v_named.token FOR UPDATE;
    CONTINUE WHEN NOT FOUND;
    v_mine := v_named.asked * v_lease.held;
    CONTINUE WHEN isempty(v_mine);
    IF v_lease.held <@ v_named.asked THEN
      UPDATE errand.leases SET until = v_until WHERE token = v_lease.token;
    ELSE
      PERFORM errand.shrink(v_lease.token, v_mine);
      INSERT INTO errand.running (seq, token, worker, lease_until)
      SELECT s, v_lease.token, v_lease.worker, v_until FROM unnest(v_mine) r, generate_series(lower(r), upper(r) - 1) s;
    END IF;
    v_alive := v_alive || ARRAY(SELECT s FROM unnest(v_mine) r, generate_series(lower(r), upper(r) - 1) s);
    v_tokens := v_tokens || array_fill(v_lease.token, ARRAY[cardinality(v_alive) - cardinality(v_tokens)]);
  END LOOP;
  IF p_waits THEN
    FOR v_named IN
      SELECT DISTINCT r.token, r.seq FROM unnest(p_tokens, v_seqs) u (token, seq) JOIN errand.running r ON r.seq = u.seq AND r.token = u.token
      ORDER BY r.seq
    LOOP
      IF NOT errand.is_held(v_named.seq, errand.ms_until(v_waits_until)) THEN
        UPDATE errand.running SET lease_until = v_until WHERE seq = v_named.seq AND token = v_named.token;
        CONTINUE WHEN NOT FOUND;
      END IF;
      v_alive := v_alive || v_named.seq;
      v_tokens := v_tokens || v_named.token;
    END LOOP;
  ELSE
    WITH free AS (
      SELECT r.seq FROM unnest(p_tokens, v_seqs) u (token, seq) JOIN errand.running r ON r.seq = u.seq AND r.token = u.token
      ORDER BY r.seq FOR UPDATE OF r SKIP LOCKED),
    renewed AS (UPDATE errand.running r SET lease_until = v_until FROM free WHERE r.seq = free.seq RETURNING r.seq, r.token)
    SELECT array_agg(seq), array_agg(token) INTO v_taken, v_taken_tokens FROM renewed;
    v_alive := v_alive || coalesce(v_taken, '{}');
    v_tokens := v_tokens || coalesce(v_taken_tokens, '{}');
  END IF;
  RETURN (
    SELECT string_agg(
      CASE WHEN a.seq IS NOT NULL THEN CASE WHEN c.seq IS NULL THEN '1' ELSE '2' END WHEN r.seq IS NULL THEN '0' ELSE '3' END, '' ORDER BY u.o)
    FROM unnest(v_seqs, p_tokens) WITH ORDINALITY u (seq, token, o)
    LEFT JOIN (SELECT DISTINCT unnest(v_alive) AS seq, unnest(v_tokens) AS token) a ON a.seq = u.seq AND a.token = u.token
    LEFT JOIN errand.cancels c ON c.seq = u.seq
    LEFT JOIN errand.running r ON r.seq = u.seq AND r.token = u.token AND NOT p_waits);
END $$;

CREATE FUNCTION errand.note(p_notes json) RETURNS text LANGUAGE plpgsql ${planned} AS $$
DECLARE
  v_now int8 := errand.now_ms();
  v_note record;
  v_token int8;
  v_held bool;
  v_line int;
  v_waits_until timestamptz := clock_timestamp() + interval '${patienceMs} ms';
  v_answers text[] := array_fill('0'::text, ARRAY[json_array_length(p_notes)]);
BEGIN
  FOR v_note IN
    SELECT n.value, n.o, (SELECT j.seq FROM errand.jobs j WHERE j.id = (n.value->>'id')::uuid) AS seq
    FROM json_array_elements(p_notes) WITH ORDINALITY n (value, o) ORDER BY seq, o
  LOOP
    v_token := v_note.value->>'token';
    v_held := errand.is_held(v_note.seq, errand.ms_until(v_waits_until));
    IF v_held THEN
      PERFORM 1 FROM errand.running WHERE seq = v_note.seq AND token = v_token;
    ELSE
      PERFORM 1 FROM errand.own(v_note.seq, v_token) o WHERE o.seq IS NOT NULL;
    END IF;
    CONTINUE WHEN NOT FOUND;
    CASE v_note.value->>'kind'
      WHEN 'start' THEN
        IF NOT v_held THEN
          UPDATE errand.running SET started_at = v_now - (v_note.value->>'agoMs')::int8 WHERE seq = v_note.seq AND started_at IS NULL;
        END IF;
      WHEN 'progress' THEN
        -- Whoever holds the job may be removing its progress.
        IF NOT v_held THEN
          INSERT INTO errand.progress (seq, value) VALUES (v_note.seq, v_note.value->>'value')
          ON CONFLICT (seq) DO UPDATE SET value = excluded.value;
        END IF;
      ELSE
        SELECT coalesce(max(line) + 1, 0) INTO v_line FROM errand.log WHERE seq = v_note.seq;
        IF v_line < ${keptLogLines} THEN
          INSERT INTO errand.log (seq, line, at, level, text)
          VALUES (v_note.seq, v_line, v_now - (v_note.value->>'agoMs')::int8, v_note.value->>'level', v_note.value->>'text')
          ON CONFLICT DO NOTHING;
        END IF;
    END CASE;
    v_answers[v_note.o] := '1';
  END LOOP;
  RETURN array_to_string(v_answers, '');
END $$;
`

const RENEW = `SELECT errand.renew($1, $2, $3, $4)`
const NOTE = `SELECT errand.note($1)`

const renewAnswers = ['stale', 'renewed', 'cancel-asked', 'busy'] as const

/** Extends leases. One that expired is still its holder's until another took it. */
export async function renew(
  db: Database,
  leases: readonly LeaseRef[],
  leaseMs: number,
): Promise<RenewAnswer[]> {
  if (leases.length === 0) return db.nothing([])
  const answers = await renewed(db, leases, leaseMs, false)
  const busy = leases.filter((_, index) => answers[index] === 'busy')
  const later = busy.length === 0 ? [] : await renewed(db, busy, leaseMs, true)
  const waited = later.values()
  return answers
    .map((answer) => (answer === 'busy' ? waited.next().value : answer))
    .map((answer) => (answer === undefined || answer === 'busy' ? 'stale' : answer))
}

async function renewed(
  db: Database,
  leases: readonly LeaseRef[],
  leaseMs: number,
  waits: boolean,
): Promise<readonly (RenewAnswer | 'busy')[]> {
  const ids = uuids(leases.map(({ id }) => id))
  const tokens = `{${leases.map(({ token }) => token).join()}}`
  const answers = await db.value(RENEW, [ids, tokens, leaseMs, waits])
  return Array.from(answers, (digit) => renewAnswers[Number(digit)] ?? 'stale')
}

export async function note(db: Database, notes: readonly Note[]): Promise<NoteAnswer[]> {
  if (notes.length === 0) return db.nothing([])
  const answers = await db.value(NOTE, [JSON.stringify(notes)])
  return Array.from(answers, (digit) => (digit === '1' ? 'noted' : 'stale'))
}
