/** A call to a store as plain data, and the same with its answer: what the model explains. */
import { AssertionError } from 'node:assert'
import type { LogLine } from '../../src/core/job.ts'
import type { CancelAnswer, RemoveAnswer, RetryAnswer } from '../../src/store/operators.ts'
import type {
  Claimed,
  ClaimRequest,
  RescueRequest,
  LeaseRef,
  NextDue,
  Note,
  NoteAnswer,
  RecordAnswer,
  RenewAnswer,
  RunRecord,
  SettleAnswer,
  Settlement,
  Tended,
} from '../../src/store/worker-calls.ts'
import type { Advance, InsertAnswer } from '../../src/store/intake.ts'
import type { ListQuery, Recorded } from '../../src/store/readers.ts'
import type { NewJob, StoredJob } from '../../src/store/job.ts'
import type { PutAnswer, RecordsQuery, RecordWrite, StoredRecord } from '../../src/store/records.ts'
import type { Store } from '../../src/store/store.ts'
import type { WorkerRecord } from '../../src/store/registry.ts'

export type Call =
  | {
      readonly verb: 'insert'
      readonly jobs: readonly NewJob[]
      readonly advance: readonly Advance[]
    }
  | { readonly verb: 'putRecords'; readonly writes: readonly RecordWrite[] }
  | { readonly verb: 'listRecords'; readonly query: RecordsQuery }
  | { readonly verb: 'claim'; readonly request: ClaimRequest }
  | { readonly verb: 'settle'; readonly settlements: readonly Settlement[] }
  | { readonly verb: 'renew'; readonly leases: readonly LeaseRef[]; readonly leaseMs: number }
  | { readonly verb: 'note'; readonly notes: readonly Note[] }
  | { readonly verb: 'record'; readonly record: RunRecord }
  | { readonly verb: 'rescue'; readonly request: RescueRequest }
  | { readonly verb: 'tend'; readonly worker: WorkerRecord }
  | { readonly verb: 'cancel'; readonly ids: readonly string[]; readonly reason: string | null }
  | { readonly verb: 'retry'; readonly ids: readonly string[] }
  | { readonly verb: 'remove'; readonly ids: readonly string[] }
  | { readonly verb: 'take'; readonly ids: readonly string[] }
  | { readonly verb: 'prune'; readonly limit: number; readonly cap: number }
  | { readonly verb: 'pause'; readonly queues: readonly string[] }
  | { readonly verb: 'resume'; readonly queues: readonly string[] }
  | { readonly verb: 'list'; readonly query: ListQuery }
  | { readonly verb: 'logs'; readonly id: string }
  | { readonly verb: 'recorded'; readonly id: string }
  | { readonly verb: 'queues' }
  | { readonly verb: 'workers' }

interface Answers {
  insert: readonly InsertAnswer[]
  putRecords: readonly PutAnswer[]
  listRecords: readonly StoredRecord[]
  claim: Claimed & NextDue
  settle: readonly SettleAnswer[]
  renew: readonly RenewAnswer[]
  note: readonly NoteAnswer[]
  record: RecordAnswer | undefined
  rescue: Claimed
  tend: Tended
  cancel: readonly CancelAnswer[]
  retry: readonly RetryAnswer[]
  remove: readonly RemoveAnswer[]
  take: readonly (StoredJob | null)[]
  prune: { readonly removed: number; readonly more: boolean }
  pause: null
  resume: null
  /** The jobs of all pages. */
  list: readonly StoredJob[]
  logs: readonly LogLine[]
  recorded: readonly Recorded[]
  queues: readonly { readonly name: string; readonly paused: boolean }[]
  workers: readonly WorkerRecord[]
}

export type Exchange = {
  [V in Call['verb']]: Extract<Call, { verb: V }> & { readonly answer: Answers[V] }
}[Call['verb']]

/** Makes a call and answers it with its answer. */
export async function perform(store: Store, call: Call): Promise<Exchange> {
  switch (call.verb) {
    case 'insert':
      return { ...call, answer: await store.insert(call.jobs, { advance: call.advance }) }
    case 'putRecords':
      return { ...call, answer: await store.putRecords(call.writes) }
    case 'listRecords':
      return { ...call, answer: await store.listRecords(call.query) }
    case 'claim':
      return { ...call, answer: await store.claim(call.request) }
    case 'settle':
      return { ...call, answer: await store.settle(call.settlements) }
    case 'renew':
      return { ...call, answer: await store.renew(call.leases, call.leaseMs) }
    case 'note':
      return { ...call, answer: await store.note(call.notes) }
    case 'record':
      return { ...call, answer: (await store.record([call.record]))[0] }
    case 'rescue':
      return { ...call, answer: await store.rescue(call.request) }
    case 'tend':
      return { ...call, answer: await store.tend(call.worker) }
    case 'cancel':
      return { ...call, answer: await store.cancel(call.ids, call.reason) }
    case 'retry':
      return { ...call, answer: await store.retry(call.ids) }
    case 'remove':
      return { ...call, answer: await store.remove(call.ids) }
    case 'take':
      return { ...call, answer: await store.take(call.ids) }
    case 'prune':
      return { ...call, answer: await store.prune({ limit: call.limit, cap: call.cap }) }
    case 'pause':
      await store.pause(call.queues)
      return { ...call, answer: null }
    case 'resume':
      await store.resume(call.queues)
      return { ...call, answer: null }
    case 'list':
      return { ...call, answer: await allPages(store, call.query) }
    case 'logs':
      return { ...call, answer: await store.logs(call.id) }
    case 'recorded':
      return {
        ...call,
        answer: await store.recorded({ id: call.id, after: null, limit: 100 }),
      }
    case 'queues':
      return { ...call, answer: await store.queues() }
    case 'workers':
      return { ...call, answer: await store.workers() }
  }
}

async function allPages(store: Store, query: ListQuery): Promise<readonly StoredJob[]> {
  const jobs: StoredJob[] = []
  for (let pages = 0, after: string | null = null; pages < 200; pages += 1) {
    const page = await store.list(after === null ? query : { ...query, after })
    if (page.jobs.length > query.limit)
      throw new AssertionError({ message: `a page of ${page.jobs.length}, not ${query.limit}` })
    jobs.push(...page.jobs)
    after = page.next
    if (after === null) return jobs
  }
  throw new AssertionError({ message: 'the pages of a list do not end' })
}
