/**
 * A step in progress: a copy of the state that one call changes, and the moves that all calls are made of.
 *
 * Nothing is indexed and nothing is filed: lines, holders of keys and what needs mean are worked out from the jobs whenever
 * somebody asks. That makes the model slow and easy to believe.
 */
import { AssertionError } from 'node:assert'
import { inspect, isDeepStrictEqual } from 'node:util'
import { isFinal, type FinalState, type JobState } from '../../src/core/job.ts'
import type { Keep, Need, StoredJob } from '../../src/store/job.ts'
import type { Edge } from './edges.ts'
import type { ModelJob, ModelState } from './state.ts'

export interface Draft {
  readonly now: number
  readonly jobs: Map<string, ModelJob>
  readonly leftKeys: Map<string, { readonly job: string; readonly until: number }>
  readonly paused: Set<string>
  readonly records: Map<string, string>
  readonly workers: Map<
    string,
    ModelState['workers'] extends ReadonlyMap<string, infer W> ? W : never
  >
  inserted: number
  /** The state that the store shows of a job after the call; null for an unknown id. */
  readonly seen: (id: string) => JobState | null
  /** Leases of the jobs that this call has settled under which they were ever settled, as `id token`. */
  readonly settledHere: Set<string>
  readonly edges: Edge[]
}

export function draftOf(state: ModelState, now: number, seen: Draft['seen']): Draft {
  return {
    now,
    jobs: new Map(state.jobs),
    leftKeys: new Map(state.leftKeys),
    paused: new Set(state.paused),
    records: new Map(state.records),
    workers: new Map(state.workers),
    inserted: state.inserted,
    seen,
    settledHere: new Set(),
    edges: [],
  }
}

/** What a move changes: fields that are shown, and fields that are not. */
export type Change = Partial<Omit<ModelJob, 'shown'>> & { readonly shown?: Partial<StoredJob> }

/** Brings a job into a state. On the way it takes its unique key or lets it go. */
export function enter(draft: Draft, job: ModelJob, state: JobState, change: Change = {}): ModelJob {
  const moved = { ...job, ...change, shown: { ...job.shown, ...change.shown, state } }
  const { unique } = moved
  if (unique !== null && wantsKey(moved, draft.now)) {
    const holder = holderOf(draft, unique.key)
    if (holder === null || holder === moved.shown.id) {
      for (const other of draft.jobs.values())
        if (other.unique?.key === unique.key && other.tookKey)
          put(draft, { ...other, tookKey: false })
      draft.leftKeys.delete(unique.key)
      return put(draft, { ...moved, tookKey: true })
    }
    return put(draft, { ...moved, tookKey: false })
  }
  return put(draft, { ...moved, tookKey: false })
}

/** Changes a job that stays in its state. */
export function alter(draft: Draft, job: ModelJob, change: Change): ModelJob {
  return put(draft, { ...job, ...change, shown: { ...job.shown, ...change.shown } })
}

/** Takes a job out of the store. A key that is held for a time stays held, unless it is to go too. */
export function drop(draft: Draft, job: ModelJob, key: 'stays' | 'goes'): void {
  draft.jobs.delete(job.shown.id)
  if (key === 'stays' && job.unique !== null && job.tookKey && draft.now < job.keyUntil)
    draft.leftKeys.set(job.unique.key, { job: job.shown.id, until: job.keyUntil })
}

/** The id of the job that holds a key; null when it is free. */
export function holderOf(draft: Draft, key: string): string | null {
  for (const job of draft.jobs.values())
    if (job.unique?.key === key && job.tookKey && wantsKey(job, draft.now)) return job.shown.id
  const left = draft.leftKeys.get(key)
  return left !== undefined && draft.now < left.until ? left.job : null
}

function wantsKey({ unique, shown, keyUntil }: ModelJob, now: number): boolean {
  return unique !== null && (unique.during.includes(shown.state) || now < keyUntil)
}

/** Ends a job. `settleNeeds` must follow in the same step. */
export function end(
  draft: Draft,
  job: ModelJob,
  state: FinalState,
  ending: {
    readonly output?: string | null
    readonly reason: string | null
    readonly keepMs: Keep
  },
): ModelJob {
  const { output = null, reason, keepMs } = ending
  const shown = {
    output,
    reason,
    finishedAt: draft.now,
    expiresAt: keepMs === null ? null : draft.now + keepMs,
    leaseUntil: null,
    cancelAsked: false,
  }
  return enter(draft, job, state, { shown, needs: [], isSuspect: false, overdueFrom: null })
}

/** Ends a step: works out what ended jobs mean for those that need them; then what is not to be kept goes. */
export function settleNeeds(draft: Draft): void {
  weighNeeds(draft)
  for (const job of draft.jobs.values()) {
    const { finishedAt, expiresAt } = job.shown
    if (finishedAt !== null && finishedAt === expiresAt) drop(draft, job, 'stays')
  }
}

/**
 * Works out what ended jobs mean for those that need them, until nothing changes any more. A job that is leased as overdue hears of a
 * failed need when it is put back.
 */
function weighNeeds(draft: Draft): void {
  for (let isChanged = true; isChanged;) {
    isChanged = false
    for (const job of draft.jobs.values())
      if (job.needs.length > 0 && weigh(draft, job)) isChanged = true
  }
}

/** Works out what the needs of one job come to now; what that means for others waits for the end of the step. */
export function weigh(draft: Draft, job: ModelJob): boolean {
  const fates = job.needs.map((need) => ({ need, fate: fateOf(draft, need.id) }))
  const open = fates.filter(({ fate }) => fate === 'open')
  if (job.shown.state !== 'blocked') {
    const left = fates.filter(
      ({ need, fate }) => fate === 'open' || (fate === 'failed' && need.onFailed !== 'run'),
    )
    if (left.length === fates.length) return false
    alter(draft, job, { needs: left.map(({ need }) => need) })
    return true
  }
  const failed = fates.filter(({ fate }) => fate === 'failed').map(({ need }) => need.onFailed)
  const ending = endingFor(draft, job, failed)
  if (ending !== null) {
    draft.edges.push(`blocked, a need failed, ${ending}`)
    const state = ending === 'fail → failed' ? 'failed' : 'cancelled'
    end(draft, job, state, { reason: 'need-failed', keepMs: job.keepCancelledMs })
    return true
  }
  if (open.length === fates.length) return false
  const needs = open.map(({ need }) => need)
  if (needs.length > 0) alter(draft, job, { needs })
  else
    unblock(
      draft,
      job,
      fates.some(({ fate }) => fate === 'failed'),
    )
  return true
}

/**
 * How a job ends for its failed needs, if it does. Where they disagree, one of them decides: the
 * store shows which.
 */
function endingFor(
  draft: Draft,
  { shown }: ModelJob,
  failed: readonly Need['onFailed'][],
): 'cancel → cancelled' | 'fail → failed' | null {
  if (!failed.includes('fail')) return failed.includes('cancel') ? 'cancel → cancelled' : null
  if (!failed.includes('cancel')) return 'fail → failed'
  return draft.seen(shown.id) === 'failed' ? 'fail → failed' : 'cancel → cancelled'
}

function unblock(draft: Draft, job: ModelJob, didFail: boolean): void {
  const { dueAt } = job.shown
  const isDue = dueAt <= draft.now
  if (isDue)
    draft.edges.push(
      didFail ? 'blocked, a need failed, run → ready' : 'blocked, last need met → ready',
    )
  enter(draft, job, isDue ? 'ready' : 'scheduled', {
    needs: [],
    place: Math.max(dueAt, draft.now) - job.headStartMs,
  })
}

function fateOf(draft: Draft, id: string): 'open' | 'met' | 'failed' {
  const needed = draft.jobs.get(id)?.shown
  if (needed === undefined) return 'failed'
  if (needed.state === 'completed') return 'met'
  return isFinal(needed.state) ? 'failed' : 'open'
}

/** The job of an id that runs under a token. */
export function runningUnder(
  draft: Draft,
  lease: { readonly id: string; readonly token: number },
): ModelJob | null {
  const job = draft.jobs.get(lease.id)
  return job?.shown.state === 'running' && job.shown.token === lease.token ? job : null
}

/** Throws an assertion unless the store answered what the model expects. */
export function same(what: string, actual: unknown, expected: unknown): void {
  if (!isDeepStrictEqual(actual, expected)) throw difference(what, actual, expected)
}

export function difference(what: string, actual: unknown, expected: unknown): AssertionError {
  const text = (value: unknown): string => inspect(value, { depth: 5, breakLength: 120 })
  return new AssertionError({
    message: `${what}: the store says\n${text(actual)}\nthe model says\n${text(expected)}`,
    actual,
    expected,
  })
}

function put(draft: Draft, job: ModelJob): ModelJob {
  draft.jobs.set(job.shown.id, job)
  return job
}
