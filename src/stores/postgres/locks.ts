/** Named locks. */
import type { HoldAnswer, Holding, HoldRequest, LockOwner } from '../../store/locks.ts'
import type { Database } from './database.ts'

/**
 * `hold` takes a lock or extends a holding, under the lock of its row, and by the time at which it has that. `null` in the answer's token says
 * that somebody else has it. `release` frees a holding.
 */
export const lockFunctions = `
CREATE FUNCTION errand.hold(p_name text, p_holder text, p_token int8, p_ttl int8, p_host text, p_pid int4) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  v_row errand.locks;
  v_now int8;
BEGIN
  INSERT INTO errand.locks (name, token, holder, until, host, pid, since) VALUES (p_name, 0, '', 0, '', 0, 0) ON CONFLICT (name) DO NOTHING;
  SELECT * INTO v_row FROM errand.locks WHERE name = p_name FOR UPDATE;
  v_now := errand.now_ms();
  IF v_row.holder = p_holder AND (CASE WHEN p_token IS NULL THEN v_row.until > v_now ELSE v_row.token = p_token END) THEN
    UPDATE errand.locks SET until = v_now + p_ttl WHERE name = p_name;
    RETURN json_build_object('token', v_row.token)::text;
  END IF;
  IF p_token IS NOT NULL OR v_row.until > v_now THEN
    RETURN CASE WHEN v_row.until > v_now
      THEN json_build_object('freeInMs', v_row.until - v_now, 'owner', json_build_object(
        'host', v_row.host, 'pid', v_row.pid, 'since', v_row.since, 'token', v_row.token))
      ELSE json_build_object('freeInMs', 0, 'owner', NULL) END::text;
  END IF;
  UPDATE errand.locks
  SET token = greatest(v_row.token + 1, v_now * 1000), holder = p_holder, until = v_now + p_ttl, host = p_host, pid = p_pid, since = v_now
  WHERE name = p_name RETURNING * INTO v_row;
  RETURN json_build_object('token', v_row.token)::text;
END $$;
`

const HOLD = `SELECT errand.hold($1, $2, $3, $4, $5, $6)`
const RELEASE = `UPDATE errand.locks SET holder = '', until = 0 WHERE name = $1 AND holder = $2 AND token = $3 RETURNING 1`
const OWNER = `SELECT host, pid, since, token FROM errand.locks WHERE name = $1 AND until > errand.now_ms()`

type HoldReply =
  | { readonly token: number }
  | { readonly token?: undefined; readonly freeInMs: number; readonly owner: LockOwner | null }

export async function hold(db: Database, request: HoldRequest): Promise<HoldAnswer> {
  const { name, holder, token, ttlMs, host, pid } = request
  const answer = await db.value(HOLD, [name, holder, token, ttlMs, host, pid])
  const reply = JSON.parse(answer) as HoldReply
  if (reply.token !== undefined) return { status: 'held', token: reply.token, validMs: ttlMs }
  return { status: 'taken', owner: reply.owner, freeInMs: reply.freeInMs }
}

export async function release(db: Database, holding: Holding): Promise<'released' | 'stale'> {
  const { name, holder, token } = holding
  const rows = await db.write(RELEASE, [name, holder, token])
  if (rows.length === 0) return 'stale'
  db.hints.give('lock')
  return 'released'
}

export async function lockOwner(db: Database, name: string): Promise<LockOwner | null> {
  const [row] = await db.read(OWNER, [name])
  if (row === undefined) return null
  const [host, pid, since, token] = row as [string, number, number, number]
  return { host, pid, since, token }
}
