/** How far a batch has come, from the parts of it rather than from all of its jobs. */
import type { App } from '../../app/app.ts'
import type { BatchEnd } from '../../app/batch-end.ts'
import { decodePayload } from '../../app/payload.ts'
import type { EndInput } from '../../app/workflow-end.ts'
import type { Client } from '../../client/client.ts'
import type { JobState } from '../../core/job.ts'
import type { StoredJob } from '../../store/job.ts'

/** Of so many parts that have not ended the jobs are looked at one by one. */
const mostLookedAt = 10
/** How many jobs are read at once. */
const page = 200

export type Counts = Readonly<Partial<Record<JobState, number>>>

/** What a job that ends a batch, or a part of one, was stored with; null for any other job, and for what cannot be read. */
export function readEnd(app: App, { input, codec }: StoredJob): EndInput | null {
  try {
    return decodePayload(app, input, codec, 'input') as EndInput
  } catch {
    return null
  }
}

/**
 * Counts the jobs of a batch by state, as far as that takes no long walk: those of parts that have ended, and those of the
 * first parts that have not.
 */
export async function batchCounts(client: Client, end: StoredJob): Promise<Counts> {
  const { app } = client
  const counts = new Map<JobState, number>()
  const add = (state: JobState, by: number): void => {
    if (by > 0) counts.set(state, (counts.get(state) ?? 0) + by)
  }
  const open: string[] = []
  let parts: readonly StoredJob[] = [end]
  let looked = 0
  while (parts.length > 0) {
    const below: string[] = []
    for (const part of parts) {
      const ended = endOf(app, part)
      if (ended !== null) {
        for (const state of ['completed', 'failed', 'cancelled', 'discarded'] as const)
          add(state, ended[state])
        continue
      }
      const input = readEnd(app, part)
      below.push(...(input?.parts ?? []))
      if ((input?.nodes.length ?? 0) === 0) continue
      looked += 1
      if (looked <= mostLookedAt) open.push(...(input?.nodes ?? []).map(([, job]) => job))
    }
    parts = await read(client, below)
  }
  for (const job of await read(client, open)) add(job.state, 1)
  return Object.fromEntries(counts)
}

function endOf(app: App, { state, output, codec }: StoredJob): BatchEnd | null {
  if (state !== 'completed' || output === null) return null
  return decodePayload(app, output, codec, 'output') as BatchEnd
}

async function read(client: Client, ids: readonly string[]): Promise<readonly StoredJob[]> {
  const found: StoredJob[] = []
  for (let from = 0; from < ids.length; from += page) {
    const some = ids.slice(from, from + page)
    for (const job of await client.call((store) => store.get(some))) if (job) found.push(job)
  }
  return found
}
