/** Small texts by key. */
import type { PutAnswer, RecordsQuery, RecordWrite, StoredRecord } from '../../store/records.ts'
import type { Database } from './database.ts'
import { patiently } from './held.ts'
import { planned } from './plan-settings.ts'
import { bounded, texts } from './arrays.ts'

/**
 * `put_record` writes one record, with `p_any` in any case, else if it holds what it must; it
 * returns whether it did. It walks the primary key and locks no more than the row that it writes;
 * of a row that another transaction is writing it awaits the end.
 *
 * `list_records` walks a range of the primary key, which is in the order of code points: from the
 * prefix, or behind the last key of the page before, to where the prefix ends; null for the end of
 * the table. `get_records` takes a step in it for each key.
 *
 * `put_records` writes several in the order of their keys, so that no two calls wait for each
 * other; an advance of an insert does the same.
 */
export const recordFunctions: string = `
CREATE FUNCTION errand.put_record(p_key text, p_text text, p_if text, p_any bool) RETURNS bool
  LANGUAGE plpgsql AS $$
BEGIN
  IF p_text IS NULL THEN
    IF p_if IS NULL AND NOT p_any THEN RETURN NOT EXISTS (SELECT 1 FROM errand.records
      WHERE key = p_key); END IF;
    DELETE FROM errand.records WHERE key = p_key AND (p_any OR text = p_if);
  ELSIF p_any THEN
    INSERT INTO errand.records (key, text) VALUES (p_key, p_text) ON CONFLICT (key) DO UPDATE
      SET text = excluded.text;
  ELSIF p_if IS NULL THEN
    INSERT INTO errand.records (key, text) VALUES (p_key, p_text) ON CONFLICT (key) DO NOTHING;
  ELSE
    UPDATE errand.records SET text = p_text WHERE key = p_key AND text = p_if;
  END IF;
  RETURN p_any OR FOUND;
END $$;

CREATE FUNCTION errand.put_records(p_keys text[], p_texts text[], p_ifs text[], p_any bool[])
  RETURNS text LANGUAGE plpgsql ${planned} AS $$
DECLARE
  v_write record;
  v_answers text[] := array_fill('0'::text, ARRAY[cardinality(p_keys)]);
BEGIN
  PERFORM set_config('lock_timeout', errand.call_patience(), true);
  FOR v_write IN
    SELECT * FROM unnest(p_keys, p_texts, p_ifs, p_any) WITH ORDINALITY
      w (key, text, expected, anyway, o) ORDER BY key COLLATE "C", o
  LOOP
    IF errand.put_record(v_write.key, v_write.text, v_write.expected, v_write.anyway)
      THEN v_answers[v_write.o] := '1'; END IF;
  END LOOP;
  RETURN array_to_string(v_answers, '');
END $$;

CREATE FUNCTION errand.get_records(p_keys text[]) RETURNS SETOF errand.records
  LANGUAGE plpgsql STABLE ${planned} AS $$
BEGIN
  RETURN QUERY SELECT r.* FROM unnest(p_keys) k (key) CROSS JOIN LATERAL (SELECT *
    FROM errand.records WHERE key = k.key OFFSET 0) r;
END $$;

CREATE FUNCTION errand.list_records(p_prefix text, p_after text, p_end text, p_limit int)
  RETURNS SETOF errand.records
LANGUAGE plpgsql STABLE ${planned} AS $$
BEGIN
  -- No key is empty, so that all come after the empty one.
  IF p_end IS NULL THEN
    RETURN QUERY SELECT * FROM errand.records WHERE key >= p_prefix AND key > coalesce(p_after, '')
      ORDER BY key LIMIT p_limit;
  ELSE
    RETURN QUERY SELECT * FROM errand.records WHERE key >= p_prefix AND key > coalesce(p_after, '')
      AND key < p_end ORDER BY key LIMIT p_limit;
  END IF;
END $$;
`

const PUT = `SELECT errand.put_records($1, $2, $3, $4)`
const GET = `SELECT key, text FROM errand.get_records($1)`
const LIST = `SELECT key, text FROM errand.list_records($1, $2, $3, $4)`

/** Writes records. A call that writes in any case is sent again when its answer is lost. */
export async function putRecords(
  db: Database,
  writes: readonly RecordWrite[],
): Promise<PutAnswer[]> {
  if (writes.length === 0) return db.nothing([])
  const values = [
    texts(writes.map(({ key }) => key)),
    texts(writes.map(({ text }) => text)),
    texts(writes.map((write) => write.if ?? null)),
    `{${writes.map((write) => write.if === undefined).join()}}`,
  ]
  const mayRepeat = writes.every((write) => write.if === undefined)
  const answers = await patiently(() =>
    mayRepeat ? db.repeatable(PUT, values) : db.value(PUT, values),
  )
  if (answers.includes('1')) db.hints.give('record')
  return Array.from(answers, (digit) => (digit === '1' ? 'put' : 'stale'))
}

export async function getRecords(
  db: Database,
  keys: readonly string[],
): Promise<(string | null)[]> {
  if (keys.length === 0) return db.nothing([])
  const rows = await db.read(GET, [texts(keys)])
  const found = new Map(rows.map(([key, text]) => [key as string, text as string]))
  return keys.map((key) => found.get(key) ?? null)
}

export async function listRecords(db: Database, query: RecordsQuery): Promise<StoredRecord[]> {
  const { prefix, after, limit } = query
  const rows = await db.read(LIST, [prefix, after, endOf(prefix), bounded(limit)])
  return rows.map(([key, text]) => ({ key: key as string, text: text as string }))
}

const lastCodePoint = 0x10_ff_ff
const surrogates = { first: 0xd8_00, last: 0xdf_ff } as const

/**
 * The first text in the order of code points that comes after all that begin with a prefix; null
 * when none does.
 */
export function endOf(prefix: string): string | null {
  const points = Array.from(prefix, (sign) => sign.codePointAt(0) ?? 0)
  while (points.at(-1) === lastCodePoint) points.pop()
  const last = points.pop()
  if (last === undefined) return null
  const next = last + 1 === surrogates.first ? surrogates.last + 1 : last + 1
  return String.fromCodePoint(...points, next)
}
