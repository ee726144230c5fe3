/** Whether a worker's memory stays bounded however much waits for it. */
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { checkResults, type OpenApp } from '../kit/app.ts'
import { Drain } from '../kit/drain.ts'
import { mail } from '../kit/job.ts'
import type { Figures } from '../workload.ts'

/** Characters of one input, which no store can compress to much less. */
const inputBytes = 262_144
export const inputText = '256 KiB'
/** Mebibytes that a worker may have at most, however much waits. */
export const mostResident = 400
const mebibyte = 1_048_576
/** Jobs of one call. */
const batch = 20

/**
 * Enqueues jobs with large inputs. Runs in a process of its own, so that its memory is not the
 * worker's.
 */
export async function fillWithLarge(open: OpenApp, jobs: number): Promise<void> {
  const { errand, task } = open(() => undefined)
  for (let start = 0; start < jobs; start += batch) {
    const entries = Array.from({ length: Math.min(batch, jobs - start) }, (_, i) => {
      const body = randomBytes((inputBytes / 4) * 3).toString('base64')
      return [task, { ...mail(start + i), body }] as const
    })
    await errand.enqueueMany(entries)
  }
  await errand.close()
}

/**
 * Drains them by a worker with default settings: mebibytes a second, and the most memory that the
 * process ever had.
 */
export async function drainLarge(open: OpenApp, jobs: number): Promise<Figures> {
  const drain = new Drain(open, jobs)
  await drain.app.errand.store.setup()
  const before = memory('VmRSS')
  await drain.start()
  const settledAt = await drain.settled(jobs)
  const peak = memory('VmHWM')
  await drain.stop()
  drain.ledger.check()
  await checkResults(drain.app, jobs)
  await drain.close()
  const waiting = (jobs * inputBytes) / mebibyte
  const seconds = (settledAt - drain.startedAt) / 1_000
  return { jobs, waiting, before, peak, rate: waiting / seconds }
}

/**
 * Mebibytes of this process alone; what `resourceUsage` returns begins with those of its parent.
 * NaN where it cannot be known.
 */
function memory(field: 'VmRSS' | 'VmHWM'): number {
  try {
    const status = readFileSync('/proc/self/status', 'utf8')
    return Number(new RegExp(`${field}:\\s+(\\d+) kB`).exec(status)?.[1]) / 1_024
  } catch {
    return NaN
  }
}
