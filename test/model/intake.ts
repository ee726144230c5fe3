/** What an insert does: new jobs, repeats, keys that are taken. */
import { noCounters } from '../../src/core/job.ts'
import type { Advance, InsertAnswer, Inserted } from '../../src/store/intake.ts'
import type { NewJob } from '../../src/store/job.ts'
import {
  alter,
  difference,
  enter,
  holderOf,
  same,
  settleNeeds,
  weigh,
  type Draft,
} from './draft.ts'
import { putRecord } from './recording.ts'
import type { ModelJob } from './state.ts'

/** Moves the records of a call, then adds its jobs, but for those of an advance that did not apply. */
export function explainInsert(
  draft: Draft,
  { jobs, advance }: { readonly jobs: readonly NewJob[]; readonly advance: readonly Advance[] },
  answer: readonly InsertAnswer[],
): void {
  const late = new Set(advance.filter((one) => !advanceRecord(draft, one)).flatMap(idsOf))
  const expected = jobs.map((job, index): InsertAnswer => {
    const { id } = job
    if (late.has(id) && !draft.jobs.has(id)) return { id, status: 'stale', token: null }
    const inserted = insertOne(draft, job, answer[index]?.token ?? null)
    settleNeeds(draft)
    return inserted
  })
  same('insert', answer, expected)
}

function advanceRecord(draft: Draft, { key, from, to }: Advance): boolean {
  const applies = putRecord(draft, { key, text: to, if: from }) === 'put'
  draft.edges.push(
    applies
      ? 'insert, its record moved → its jobs as ever'
      : 'insert, its record elsewhere → stale',
  )
  return applies
}

function idsOf({ jobs }: Advance): readonly string[] {
  return jobs
}

/**
 * Adds one job and answers what the store must say; `token` is the one that it gave, if it gave one. `settleNeeds` must follow in the
 * same step.
 */
export function insertOne(draft: Draft, job: NewJob, token: number | null): Inserted {
  const known = draft.jobs.get(job.id)
  if (known !== undefined) {
    const isTold = job.entry !== null || token !== null
    return { id: job.id, status: 'created', token: isTold ? leaseOfBirth(known) : null }
  }
  const holder = job.unique === null ? null : holderOf(draft, job.unique.key)
  if (holder !== null) return meetHolder(draft, job, holder)

  draft.inserted += 1
  if (job.entry?.kind === 'running') return insertRunning(draft, job, job.entry, token)
  const fresh = freshJob(draft, job)
  const isDue = fresh.shown.dueAt <= draft.now
  if (job.needs.length === 0) {
    draft.edges.push(isDue ? 'enqueue, due now → ready' : 'enqueue, due later → scheduled')
    enter(draft, fresh, isDue ? 'ready' : 'scheduled')
  } else {
    insertNeedy(draft, fresh, job)
  }
  return { id: job.id, status: 'created', token: null }
}

/** Needs that are met already, or have failed and may, do not block: the job stands where it would without them. */
function insertNeedy(draft: Draft, fresh: ModelJob, { needs, id }: NewJob): void {
  const blocked = enter(draft, fresh, 'blocked', { needs })
  const edgesBefore = draft.edges.length
  weigh(draft, blocked)
  const settled = draft.jobs.get(id)
  if (settled?.shown.state === 'blocked') draft.edges.push('enqueue, with unmet needs → blocked')
  else draft.edges.length = edgesBefore
  if (settled?.shown.state === 'ready' || settled?.shown.state === 'scheduled')
    alter(draft, settled, { place: fresh.place })
}

function insertRunning(
  draft: Draft,
  job: NewJob,
  { worker, leaseMs }: Extract<NewJob['entry'], { kind: 'running' }>,
  token: number | null,
): Inserted {
  if (token === null || token <= 0) throw difference(`token of inline ${job.id}`, token, 'a token')
  const lease = { worker, token, leaseUntil: draft.now + leaseMs, startedAt: draft.now }
  const fresh = freshJob(draft, job)
  enter(draft, fresh, 'running', { shown: lease, bornToken: token, tokens: [token] })
  return { id: job.id, status: 'created', token }
}

/** A repeated insert tells the lease that the first one gave while it is still that one; it need not when it asks for none. */
function leaseOfBirth({ shown, bornToken }: ModelJob): number | null {
  return shown.state === 'running' && shown.token === bornToken ? bornToken : null
}

function meetHolder(draft: Draft, job: NewJob, holder: string): Inserted {
  const held = draft.jobs.get(holder)
  const isWaiting =
    held !== undefined && ['blocked', 'scheduled', 'ready'].includes(held.shown.state)
  if (!isWaiting || job.unique?.onConflict !== 'replace')
    return { id: holder, status: 'duplicate', token: null }
  const { input, codec, options, priority, queue, group, tags, headers } = job
  const given = { input, codec, options, priority, queue, group, tags, headers }
  const { shown, ...hidden } = clocksOf(job, draft.now, held.shown.createdAt)
  const isDue = shown.dueAt <= draft.now
  const waits = isDue ? 'ready' : 'scheduled'
  const change = {
    ...hidden,
    place:
      (isDue ? Math.min(held.place + held.headStartMs, shown.dueAt) : shown.dueAt) -
      hidden.headStartMs,
    keepCancelledMs: job.keepCancelledMs,
    unique: job.unique,
    isSuspect: false,
    shown: { ...shown, ...given, counters: noCounters },
  }
  enter(draft, held, held.shown.state === 'blocked' ? 'blocked' : waits, change)
  return { id: holder, status: 'replaced', token: null }
}

function clocksOf(
  job: NewJob,
  now: number,
  firstAt: number | null,
): Pick<ModelJob, ClockField> & {
  readonly shown: Pick<ModelJob['shown'], 'dueAt' | 'startBy' | 'deadlineAt'>
} {
  const { startWithinMs, deadlineMs, unique, headStartMs = 0 } = job
  const maxWaitMs = unique?.maxWaitMs ?? null
  const latest =
    firstAt === null || maxWaitMs === null ? Infinity : Math.max(now, firstAt + maxWaitMs)
  const dueAt = Math.min(job.runAt ?? now + job.delayMs, latest)
  return {
    place: dueAt - headStartMs,
    headStartMs,
    startWithinMs,
    deadlineMs,
    keyUntil: now + (unique?.forMs ?? 0),
    shown: {
      dueAt,
      startBy: startWithinMs === null ? null : dueAt + startWithinMs,
      deadlineAt: deadlineMs === null ? null : now + deadlineMs,
    },
  }
}

type ClockField = 'place' | 'headStartMs' | 'startWithinMs' | 'deadlineMs' | 'keyUntil'

function freshJob(draft: Draft, job: NewJob): ModelJob {
  const { id, task, queue, priority, input, codec, options, parent, unique } = job
  const { group, tags, headers } = job
  const { shown, ...hidden } = clocksOf(job, draft.now, null)
  return {
    ...hidden,
    order: draft.inserted,
    keepCancelledMs: job.keepCancelledMs,
    unique,
    tookKey: false,
    needs: [],
    isSuspect: false,
    overdueFrom: null,
    why: 'ready',
    tokens: [],
    bornToken: 0,
    settled: [],
    cancelReason: null,
    log: [],
    recorded: {},
    shown: {
      id,
      task,
      queue,
      state: 'ready',
      priority,
      input,
      codec,
      options,
      parent,
      group,
      tags,
      headers,
      uniqueKey: unique?.key ?? null,
      createdAt: draft.now,
      counters: noCounters,
      token: 0,
      worker: null,
      leaseUntil: null,
      startedAt: null,
      finishedAt: null,
      expiresAt: null,
      cancelAsked: false,
      progress: null,
      attempts: [],
      output: null,
      reason: null,
      ...shown,
    },
  }
}
