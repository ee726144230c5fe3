/** The workers registry as people read it. */
import type { SourceRecord, WorkerRecord } from '../store/registry.ts'
import type { Client } from './client.ts'

export interface WorkerInfo {
  readonly id: string
  readonly host: string
  readonly pid: number
  readonly version: string
  readonly queues: readonly string[]
  readonly slots: number
  /** The group by which operators address it; null for none. */
  readonly group: string | null
  readonly running: readonly string[]
  /** Where its leases are renewed; null for one that runs no jobs. */
  readonly renewer: 'thread' | 'event-loop' | null
  readonly startedAt: Date
  readonly lastSeenAt: Date
  /** `lost` when it was not seen for half a minute without having stopped. */
  readonly state: 'running' | 'stopped' | 'lost'
  /** Why it claims nothing for now: `control`, `code`, `cpu`, `memory`, `lag`; empty while it claims. */
  readonly paused: readonly string[]
  /** Its place among the processes of a supervisor, `index` counted from 0; null where it has none. */
  readonly process: { readonly index: number; readonly of: number } | null
  /** The sources of messages that run in its process, as it last told of them; none once it has stopped. */
  readonly sources: readonly SourceRecord[]
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
    group: record.group ?? null,
    running,
    renewer: record.renewer ?? null,
    startedAt: new Date(startedAt),
    lastSeenAt: new Date(lastSeenAt),
    process: record.process ?? null,
    state: stopped ? 'stopped' : now - lastSeenAt > lostAfterMs ? 'lost' : 'running',
    paused: stopped ? [] : (record.paused ?? []),
    sources: stopped ? [] : (record.sources ?? []),
  }
}
