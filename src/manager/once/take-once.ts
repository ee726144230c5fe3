/**
 * Takes a job for a caller whose answer may get lost: asked again with the same id of the take, any
 * manager gives the same answer, for five minutes.
 *
 * Who takes is settled first, by a record that one caller alone can write; what they get is kept with
 * it; only then is the job removed. A manager that dies in between leaves the job to a repeat of the
 * same take, or to another one after five minutes.
 */
import { createHash } from 'node:crypto'
import type { Client } from '../../client/client.ts'
import { newId } from '../../app/new-id.ts'
import { toRecord, type JobRecord } from '../../client/job-record.ts'
import { fromJsonWithDigits } from '../../core/json.ts'
import { isFinal } from '../../core/job.ts'
import { answered, userCallMs } from '../../loops/call-deadline.ts'
import type { StoredJob } from '../../store/job.ts'
import type { Store } from '../../store/store.ts'
import { jobJson } from '../job-json.ts'
import { outputKey, type KeptAnswers } from './kept-answers.ts'

export interface TakeRequest {
  /** The id of the job. */
  readonly id: string
  /** The caller's token, and the id that they gave their take. */
  readonly token: string | null
  readonly take: string
  /** Whether the caller may have jobs of this queue. */
  readonly mayTouch: (queue: string) => boolean
  /** The record as the caller may see it. Default: as it is. */
  readonly shown?: (record: JobRecord) => JobRecord
}

export type TakeAnswer =
  /** The record of the job as JSON. */
  | { readonly status: 'taken'; readonly text: string }
  | { readonly status: 'missing' }
  | { readonly status: 'open'; readonly state: StoredJob['state'] }
  /** Another take came before. */
  | { readonly status: 'lost' }

/** A record that changes all the time is not tried for ever. */
const mostTries = 5

interface TakeRecord {
  readonly at: number
  /** Whose take it is. */
  readonly by: string
  /** Of the call that wrote it last: a repeat of the take writes its own. */
  readonly call: string
}

/** Rejects with errors of the store; the same take may be asked for again then. */
export function takeOnce(
  client: Client,
  kept: KeptAnswers,
  request: TakeRequest,
): Promise<TakeAnswer> {
  return client.call((store) => take(client, store, kept, request))
}

async function take(
  client: Client,
  store: Store,
  kept: KeptAnswers,
  { id, token, take: name, mayTouch, shown = (record) => record }: TakeRequest,
): Promise<TakeAnswer> {
  const textOf = (one: StoredJob): string =>
    JSON.stringify(jobJson(shown(toRecord(client.app, one, fromJsonWithDigits))))
  const key = `http/taken/${id}`
  const by = createHash('sha256')
    .update(`${token ?? ''}/${name}`)
    .digest('hex')
  const [job = null] = await answered(store.clock, store.get([id]))
  if (job === null) return (await repeated(kept, id, key, by)) ?? { status: 'missing' }
  if (!mayTouch(job.queue)) return { status: 'missing' }
  if (!isFinal(job.state)) return { status: 'open', state: job.state }

  const mine: TakeRecord = { at: store.clock.now(), by, call: newId() }
  const record = JSON.stringify(mine)
  const claimed = await claim(kept, key, by, record)
  if (claimed === 'lost') return { status: 'lost' }
  await kept.write('http/taken/', [{ key: outputKey(id), text: textOf(job) }])
  const [removed = null] = await answered(store.clock, store.take([id]), {
    withinMs: userCallMs,
    code: 'unknown-outcome',
  })
  if (removed === null) {
    // Another call of the same take has removed it, or somebody who does not go this way.
    const isForgotten = claimed === 'first' && (await forget(kept, id, key, record))
    return isForgotten ? { status: 'missing' } : { status: 'taken', text: textOf(job) }
  }
  if (!isFinal(removed.state)) {
    await forget(kept, id, key, record)
    return { status: 'open', state: removed.state }
  }
  const text = textOf(removed)
  // An operator may have run it again between the two reads.
  if (removed.token !== job.token) await kept.write('http/taken/', [{ key: outputKey(id), text }])
  return { status: 'taken', text }
}

/** Settles who takes: whether it is this take, now or in an earlier call of it. */
async function claim(
  kept: KeptAnswers,
  key: string,
  by: string,
  record: string,
): Promise<'first' | 'again' | 'lost'> {
  let from: string | null = null
  for (let tries = 0; tries < mostTries; tries += 1) {
    const [answer] = await kept.write('http/taken/', [{ key, text: record, if: from }])
    const wasOurs = from !== null && (JSON.parse(from) as TakeRecord).by === by
    if (answer === 'put') return wasOurs ? 'again' : 'first'
    from = await kept.read(key)
    if (from === null) continue
    const other = JSON.parse(from) as TakeRecord
    // A third call of the take has written instead of this one.
    if (other.by === by && wasOurs) return 'again'
    if (other.by !== by && !kept.isOver('http/taken/', other)) return 'lost'
  }
  return 'lost'
}

/** What the same take got before; null when there was none. */
async function repeated(
  kept: KeptAnswers,
  id: string,
  key: string,
  by: string,
): Promise<TakeAnswer | null> {
  const found = await kept.read(key)
  if (found === null || (JSON.parse(found) as TakeRecord).by !== by) return null
  const text = await kept.read(outputKey(id))
  return text === null ? null : { status: 'taken', text }
}

/** Lets others take the job, or find that it is gone; not where the same take was called again meanwhile. */
async function forget(
  kept: KeptAnswers,
  id: string,
  key: string,
  record: string,
): Promise<boolean> {
  const [answer] = await kept.write('http/taken/', [{ key, text: null, if: record }])
  if (answer !== 'put') return false
  await kept.write('http/taken/', [{ key: outputKey(id), text: null }])
  return true
}
