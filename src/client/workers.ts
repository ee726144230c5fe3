/** The workers registry as people read it. */
import type { WorkerRecord } from '../store/registry.ts'
import type { Client } from './client.ts'

export interface WorkerInfo {
  readonly id: string
  readonly host: string
  readonly pid: number
  readonly version: string
  readonly queues: readonly string[]
  readonly slots: number
  readonly running: readonly string[]
  readonly startedAt: Date
  readonly lastSeenAt: Date
  /** `lost` when it was not seen for half a minute without having stopped. */
  readonly state: 'running' | 'stopped' | 'lost'
}

/** A worker that was not seen for this long, and has not said that it stops, is lost. */
const lostAfterMs = 30_000

/** Reads the workers registry, the newest first. */
export async function listWorkers(client: Client): Promise<readonly WorkerInfo[]> {
  const records = await client.call((store) => store.workers())
  const now = client.app.store.clock.now()
  return records.toSorted((a, b) => b.startedAt - a.startedAt).map((record) => toInfo(record, now))
}

function toInfo(record: WorkerRecord, now: number): WorkerInfo {
  const { id, host, pid, version, queues, slots, running, startedAt, lastSeenAt, stopped } = record
  return {
    id,
    host,
    pid,
    version,
    queues,
    slots,
    running,
    startedAt: new Date(startedAt),
    lastSeenAt: new Date(lastSeenAt),
    state: stopped ? 'stopped' : now - lastSeenAt > lostAfterMs ? 'lost' : 'running',
  }
}
