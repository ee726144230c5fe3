/** The history of a job's attempts. */
import { keptAttempts } from '../../core/job.ts'
import { readTexts } from '../unreadable.ts'
import type { Transaction } from './transaction.ts'

/** A rowid, here and below. */
const READ = `SELECT attempts FROM errand_jobs WHERE seq = ?`
const WRITE = `UPDATE errand_jobs SET attempts = ? WHERE seq = ?`

/** Appends an encoded attempt; the oldest go when there are too many. */
export function appendAttempt(tx: Transaction, seq: number, attempt: string): void {
  const kept = tx.row(READ, seq)?.[0] as string | null
  const attempts = kept === null ? [] : readTexts(kept)
  tx.run(WRITE, JSON.stringify([...attempts, attempt].slice(-keptAttempts)), seq)
}
