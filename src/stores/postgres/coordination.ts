/** What workers and operators share beside jobs: queues, workers, tasks. */
import type { RegisteredTask, WorkerRecord } from '../../store/registry.ts'
import type { Tended } from '../../store/worker-calls.ts'
import { lastTime } from '../unreadable.ts'
import type { Database } from './database.ts'
import { texts } from './arrays.ts'
import { patienceMs, planned } from './plan-settings.ts'
import { vacuum } from './vacuum.ts'

/**
 * `tend` writes a worker's heartbeat and tells it what there is to do; it promotes what is due, sums up the counts, and weighs jobs anew
 * whose needs are in doubt. A heartbeat waits for no transaction of a user. `tell` wakes listeners when the transaction commits.
 */
export const coordinationFunctions: string = `
CREATE FUNCTION errand.tell(p_hint text) RETURNS void LANGUAGE sql AS $$
  SELECT pg_notify('errand.hints', p_hint) WHERE pg_notification_queue_usage() < 0.9
$$;

CREATE FUNCTION errand.tend(p_id text, p_record text, p_queues text[]) RETURNS text LANGUAGE plpgsql ${planned} AS $$
DECLARE
  v_now int8 := errand.now_ms();
  v_due int8;
  v_ready bool;
  v_queue text := '';
BEGIN
  PERFORM set_config('lock_timeout', '${patienceMs}', true);
  INSERT INTO errand.workers (id, last_seen_at, record) VALUES (p_id, v_now, p_record)
  ON CONFLICT (id) DO UPDATE SET last_seen_at = excluded.last_seen_at, record = excluded.record;
  PERFORM errand.promote(v_now);
  PERFORM errand.fold_tally();
  PERFORM errand.forget_calls(v_now);
  IF EXISTS (SELECT 1 FROM errand.doubts) THEN PERFORM errand.recheck(NULL); END IF;
  SELECT due_at INTO v_due FROM errand.scheduled WHERE due_at <= ${lastTime} ORDER BY due_at LIMIT 1;
  IF '*' = ANY (p_queues) THEN
    LOOP
      v_queue := errand.next_busy(v_queue);
      v_ready := v_queue IS NOT NULL;
      EXIT WHEN NOT v_ready OR NOT EXISTS (SELECT 1 FROM errand.paused WHERE queue = v_queue);
    END LOOP;
  ELSE
    v_ready := EXISTS (SELECT 1 FROM unnest(p_queues) q WHERE errand.is_busy(q) AND NOT EXISTS (SELECT 1 FROM errand.paused WHERE queue = q));
  END IF;
  RETURN json_build_object(
    'now', v_now,
    'paused', (SELECT coalesce(json_agg(queue ORDER BY queue), '[]') FROM errand.paused),
    'nextDueMs', greatest(v_due - v_now, CASE WHEN v_due IS NULL THEN NULL ELSE 0 END),
    'ready', v_ready,
    'sweepDue', EXISTS (SELECT 1 FROM errand.bounds WHERE at <= v_now) OR EXISTS (SELECT 1 FROM errand.leases WHERE until <= v_now OR until > ${lastTime})
      OR EXISTS (SELECT 1 FROM errand.running WHERE lease_until <= v_now OR lease_until > ${lastTime})
      OR EXISTS (SELECT 1 FROM errand.scheduled WHERE due_at > ${lastTime}),
    'pruneDue', errand.needs_prune(v_now),
    'vacuumDue', errand.needs_vacuum())::text;
END $$;
`

const TEND = `SELECT errand.tend($1, $2, $3)`
const PAUSE = `INSERT INTO errand.paused (queue) SELECT DISTINCT name FROM unnest($1::text[]) name ORDER BY name ON CONFLICT DO NOTHING`
const RESUME = `DELETE FROM errand.paused WHERE queue = ANY ($1::text[])`
const PAUSED = `SELECT queue FROM errand.paused ORDER BY queue`
const WORKERS = `SELECT record, last_seen_at FROM errand.workers ORDER BY id`
const WRITE_TASKS = `INSERT INTO errand.tasks (name, record) SELECT DISTINCT ON (name) name, record
  FROM unnest($1::text[], $2::text[]) WITH ORDINALITY t (name, record, o) ORDER BY name, o DESC
  ON CONFLICT (name) DO UPDATE SET record = excluded.record`
const TASKS = `SELECT record FROM errand.tasks ORDER BY name`

/** Writes a worker's heartbeat and tells it what there is to do. A heartbeat waits for no vacuum. */
export async function tend(db: Database, worker: WorkerRecord): Promise<Tended> {
  const answer = await db.value(TEND, [worker.id, JSON.stringify(worker), texts(worker.queues)])
  const { vacuumDue, ...tended } = JSON.parse(answer) as Tended & { readonly vacuumDue: boolean }
  if (vacuumDue) vacuum(db)
  return tended
}

export async function setPaused(
  db: Database,
  queues: readonly string[],
  paused: boolean,
): Promise<void> {
  if (queues.length === 0) return db.nothing(undefined)
  await db.repeatable(paused ? PAUSE : RESUME, [texts(queues)])
  db.hints.give('paused')
  if (!paused) db.hints.give('work')
}

export async function pausedQueues(db: Database): Promise<string[]> {
  const rows = await db.read(PAUSED, [])
  return rows.map(([queue]) => queue as string)
}

export async function workerList(db: Database): Promise<WorkerRecord[]> {
  const rows = await db.read(WORKERS, [])
  return rows.map(([record, lastSeenAt]) => ({
    ...(JSON.parse(record as string) as WorkerRecord),
    lastSeenAt: lastSeenAt as number,
  }))
}

export async function registerTasks(db: Database, tasks: readonly RegisteredTask[]): Promise<void> {
  if (tasks.length === 0) return db.nothing(undefined)
  const names = texts(tasks.map(({ name }) => name))
  await db.repeatable(WRITE_TASKS, [names, texts(tasks.map((task) => JSON.stringify(task)))])
}

export async function taskList(db: Database): Promise<RegisteredTask[]> {
  const rows = await db.read(TASKS, [])
  return rows.map(([record]) => JSON.parse(record as string) as RegisteredTask)
}
