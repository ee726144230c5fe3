/** Handing out jobs that were lost or waited too long. */
import { handedBytes } from '../../core/job.ts'
import type { Claimed, RescueRequest } from '../../store/worker-calls.ts'
import { lastTime } from '../unreadable.ts'
import type { Database } from './database.ts'
import { planned } from './plan-settings.ts'
import { bounded, texts } from './arrays.ts'
import { handedColumns, readClaimed, readHeader } from './rows.ts'

/**
 * `rescue` hands out shared leases first, oldest first, then those of single jobs, then what waited
 * too long. It waits for shared leases, which no transaction of a user ever holds, so that sweepers
 * share what is lost, and skips what else is locked. What is due at a time that cannot be read
 * waits for ever, too: such jobs are the end of `scheduled`.
 */
export const rescueFunctions: string = `
CREATE FUNCTION errand.lost_by(p_token int8, p_worker text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT concat_ws(' ', 'lost', p_token, p_worker)
$$;

CREATE FUNCTION errand.rescue(p_worker text, p_tasks text[], p_limit int, p_lease_ms int8) RETURNS SETOF errand.handed
LANGUAGE plpgsql ROWS 500 ${planned} AS $$
DECLARE
  v_now int8 := errand.now_ms();
  v_token int8;
  v_room int := p_limit;
  v_size int8 := 0;
  v_lease errand.leases;
  v_seqs int8[];
  v_seq int8;
  v_lost record;
  v_job errand.jobs;
  v_state int;
BEGIN
  RETURN NEXT errand.header(v_now, NULL, 0, 0, '');
  FOR v_lease IN SELECT * FROM errand.leases WHERE until <= v_now OR until > ${lastTime} ORDER BY until, token FOR UPDATE LOOP
    EXIT WHEN v_room <= 0 OR v_size >= ${handedBytes};
    SELECT array_agg(seq ORDER BY seq), v_size + coalesce(sum(size), 0) INTO v_seqs, v_size FROM (
      SELECT j.seq, j.size, v_size + sum(j.size) OVER (ORDER BY j.seq) - j.size AS before FROM unnest(v_lease.held) r
        CROSS JOIN LATERAL (
          SELECT seq, task, octet_length(input) AS size FROM errand.jobs WHERE seq >= lower(r) AND seq < upper(r) ORDER BY seq) j
      WHERE j.task = ANY (p_tasks) ORDER BY j.seq LIMIT v_room) s
    WHERE before < ${handedBytes};
    CONTINUE WHEN v_seqs IS NULL;
    v_token := coalesce(v_token, errand.new_token());
    PERFORM errand.shrink(v_lease.token, (SELECT range_agg(int8range(s, s + 1)) FROM unnest(v_seqs) s));
    INSERT INTO errand.running (seq, token, worker, lease_until) SELECT s, v_token, p_worker, v_now + p_lease_ms FROM unnest(v_seqs) s;
    FOR v_job IN SELECT * FROM errand.jobs WHERE seq = ANY (v_seqs) AND unique_key IS NOT NULL ORDER BY unique_key, seq LOOP
      PERFORM errand.rekey(v_job.unique_key, v_job.id, v_job.unique_during, v_job.unique_until, 3, v_now);
    END LOOP;
    RETURN QUERY SELECT h.* FROM errand.jobs j LEFT JOIN errand.cancels c ON c.seq = j.seq,
      LATERAL errand.handed_of(j, v_token, NULL, c.seq IS NOT NULL, errand.lost_by(v_lease.token, v_lease.worker)) h WHERE j.seq = ANY (v_seqs) ORDER BY j.seq;
    v_room := v_room - cardinality(v_seqs);
  END LOOP;
  FOR v_lost IN
    SELECT r.*, c.seq IS NOT NULL AS asked FROM errand.running r
      CROSS JOIN LATERAL (SELECT task FROM errand.jobs WHERE seq = r.seq OFFSET 0) j
      LEFT JOIN errand.cancels c ON c.seq = r.seq
    WHERE (r.lease_until <= v_now OR r.lease_until > ${lastTime}) AND r.token IS DISTINCT FROM v_token AND j.task = ANY (p_tasks)
    ORDER BY r.lease_until, r.seq LIMIT greatest(v_room, 0) FOR UPDATE OF r SKIP LOCKED
  LOOP
    EXIT WHEN v_size >= ${handedBytes};
    v_token := coalesce(v_token, errand.new_token());
    UPDATE errand.running SET token = v_token, worker = p_worker, lease_until = v_now + p_lease_ms, born = false WHERE seq = v_lost.seq;
    SELECT * INTO v_job FROM errand.jobs WHERE seq = v_lost.seq;
    PERFORM errand.rekey(v_job.unique_key, v_job.id, v_job.unique_during, v_job.unique_until, 3, v_now);
    RETURN NEXT errand.handed_of(v_job, v_token, v_lost.started_at, v_lost.asked, 
      CASE WHEN v_lost.overdue THEN 'overdue' ELSE errand.lost_by(v_lost.token, v_lost.worker) END);
    v_room := v_room - 1;
    v_size := v_size + octet_length(v_job.input);
  END LOOP;
  IF v_room <= 0 THEN RETURN; END IF;
  FOR v_seq IN
    (SELECT seq FROM errand.bounds WHERE at <= v_now AND task = ANY (p_tasks) ORDER BY at, seq)
    UNION ALL SELECT s.seq FROM errand.scheduled s JOIN errand.jobs j ON j.seq = s.seq WHERE s.due_at > ${lastTime} AND j.task = ANY (p_tasks)
  LOOP
    EXIT WHEN v_room <= 0 OR v_size >= ${handedBytes};
    SELECT * INTO v_job FROM errand.jobs WHERE seq = v_seq FOR UPDATE SKIP LOCKED;
    -- An insert may just have replaced it.
    CONTINUE WHEN NOT FOUND OR (least(v_job.start_by, v_job.deadline_at) <= v_now OR v_job.due_at > ${lastTime}) IS NOT TRUE;
    -- The line before the bound, as a claim does.
    v_state := errand.take_out(v_job);
    PERFORM errand.unbind(v_job);
    CONTINUE WHEN v_state > 2;
    v_room := v_room - 1;
    v_size := v_size + octet_length(v_job.input);
    v_token := coalesce(v_token, errand.new_token());
    INSERT INTO errand.running (seq, token, worker, lease_until, overdue) VALUES (v_job.seq, v_token, p_worker, v_now + p_lease_ms, true);
    PERFORM errand.tallied(v_job.queue, v_state, 3);
    PERFORM errand.rekey(v_job.unique_key, v_job.id, v_job.unique_during, v_job.unique_until, 3, v_now);
    RETURN NEXT errand.handed_of(v_job, v_token, NULL, false, 'overdue');
  END LOOP;
END $$;
`

const RESCUE = `SELECT ${handedColumns} FROM errand.rescue($1, $2, $3, $4)`

/** Leases to the caller what other workers lost, oldest lease first, then what waited too long. */
export async function rescue(db: Database, request: RescueRequest): Promise<Claimed> {
  const { worker, tasks, limit, leaseMs } = request
  const [header, ...rows] = await db.write(RESCUE, [worker, texts(tasks), bounded(limit), leaseMs])
  if (header === undefined) throw new TypeError('rescue returned nothing')
  const jobs = readClaimed(rows)
  const size = jobs.reduce((bytes, { input }) => bytes + Buffer.byteLength(input), 0)
  return { now: readHeader(header).now, jobs, cut: size >= handedBytes }
}
