/**
 * What is kept of needed jobs: `errand_wants` holds the needs of which a job wants to know the end,
 * for as long as the job is known, and `errand_outputs` those ends, once for each group, for as
 * long as a job of that group is.
 */
import { handedBytes } from '../../core/job.ts'
import type { Need, Needed, NeededJob } from '../../store/job.ts'
import { stateOf, type StateCode } from '../state-codes.ts'
import type { Transaction } from './transaction.ts'

/** Adds an entry to the primary key. */
const ADD_WANT = `INSERT OR REPLACE INTO errand_wants (seq, need, on_failed, handed) VALUES (?, ?, ?, ?)`
/** Walks a range of the primary key. */
const DROP_WANTS = `DELETE FROM errand_wants WHERE seq = ?`
/**
 * Keeps how a job ended, once for each group of those that wait for it: walks the primary key of
 * errand_needs, then for each that of errand_wants and a rowid.
 */
const KEEP_ENDED = `INSERT OR REPLACE INTO errand_outputs (group_id, id, state, codec, output)
  SELECT d.group_id, j.id, f.state, j.codec, f.output
  FROM (SELECT DISTINCT d.group_id FROM errand_needs n CROSS JOIN errand_wants w ON w.seq = n.seq AND w.need = n.need
    CROSS JOIN errand_jobs d ON d.seq = n.seq WHERE n.need = ?1 AND d.group_id IS NOT NULL) d
  CROSS JOIN errand_jobs j ON j.id = ?1 CROSS JOIN errand_finished f ON f.seq = j.seq`
/** The same for one job that looks at its needs: walks a range of the primary key of errand_wants. */
const KEEP_FOUND = `INSERT OR REPLACE INTO errand_outputs (group_id, id, state, codec, output)
  SELECT d.group_id, j.id, f.state, j.codec, f.output FROM errand_wants w CROSS JOIN errand_jobs d ON d.seq = w.seq
  CROSS JOIN errand_jobs j ON j.id = w.need CROSS JOIN errand_finished f ON f.seq = j.seq WHERE w.seq = ? AND d.group_id IS NOT NULL`
/** How large the outputs of a job's needs are: walks its wants, then the unique index of outputs. */
const SIZE = `SELECT coalesce(sum(octet_length(o.output)), 0) FROM errand_wants w
  CROSS JOIN errand_outputs o ON o.group_id = ? AND o.id = w.need WHERE w.seq = ? AND w.handed = 1`
/** The same outputs. */
const NEEDED = `SELECT w.need, o.state, CASE WHEN w.handed = 1 THEN o.output END, o.codec FROM errand_wants w
  LEFT JOIN errand_outputs o ON o.group_id = ? AND o.id = w.need WHERE w.seq = ?`
/** Needs of a job that have not ended: walks its wants, then the unique index of ids, then rowids. */
const OPEN_WANTS = `SELECT w.need, w.on_failed FROM errand_wants w CROSS JOIN errand_jobs j ON j.id = w.need
  WHERE w.seq = ? AND j.seq <> w.seq AND NOT EXISTS (SELECT 1 FROM errand_finished f WHERE f.seq = j.seq)`
/** A rowid. */
const GROUP_OF = `SELECT group_id FROM errand_jobs WHERE seq = ?`
/** A step in the index of jobs by group, then a range of the unique index of outputs. */
const DROP_OUTPUTS = `DELETE FROM errand_outputs WHERE group_id = ?1
  AND NOT EXISTS (SELECT 1 FROM errand_jobs WHERE group_id = ?1)`

/** How an ended job is kept, as a column of a statement in which `n` is a need: its state, or null. */
export const keptStateColumn = `(SELECT o.state FROM errand_jobs d CROSS JOIN errand_outputs o
  ON o.group_id = d.group_id AND o.id = n.need WHERE d.seq = n.seq)`

export function addWant(
  tx: Transaction,
  seq: number,
  { id, output }: Need,
  onFailedCode: number,
): void {
  if (output === undefined) return
  tx.run(ADD_WANT, seq, id, onFailedCode, output === 'hand' ? 1 : 0)
  tx.wantsEnd()
}

/** Keeps how a job ended for those that wait for it and want to know. */
export function keepEnded(tx: Transaction, id: string): void {
  if (tx.anyEnds()) tx.run(KEEP_ENDED, id)
}

/** Keeps how those needs of a job ended that have ended already. */
export function keepFound(tx: Transaction, seq: number): void {
  if (tx.anyEnds()) tx.run(KEEP_FOUND, seq)
}

/** Needs that a retried job waits for once more, with the codes of what becomes of it when they fail. */
export function openWants(tx: Transaction, seq: number): readonly (readonly [string, number])[] {
  if (!tx.anyEnds()) return []
  return tx.rows(OPEN_WANTS, seq).map(([need, code]) => [need as string, code as number])
}

/**
 * What the claim of a job hands out beside its input, with the size of it, when so many bytes were
 * handed out before.
 */
export function neededBy(
  tx: Transaction,
  job: { readonly seq: number; readonly group: string },
  before: number,
): { readonly needed: Needed; readonly size: number } {
  const size = tx.row(SIZE, job.group, job.seq)?.[0] as number
  if (size > handedBytes) return { needed: 'too-large', size: 0 }
  if (before > 0 && before + size > handedBytes) return { needed: 'later', size: 0 }
  const needed = tx
    .rows(NEEDED, job.group, job.seq)
    .map(([id, state, output, codec]): NeededJob => ({
      id: id as string,
      state: state === null ? null : (stateOf(state as StateCode) as NeededJob['state']),
      output: output as string | null,
      codec: codec as string | null,
    }))
  return { needed, size }
}

/** Forgets what a job wants that is about to go. Returns what must be forgotten once it is gone. */
export function dropWants(tx: Transaction, seq: number): () => void {
  if (!tx.anyEnds()) return nothing
  tx.run(DROP_WANTS, seq)
  const group = tx.row(GROUP_OF, seq)?.[0]
  return () => {
    if (typeof group === 'string') tx.run(DROP_OUTPUTS, group)
  }
}

function nothing(): void {}
