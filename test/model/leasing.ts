/** How jobs come under a lease: what a claim must hand out, and what a sweep may. */
import type { Claimed, ClaimRequest, RescueRequest, NextDue } from '../../src/store/worker-calls.ts'
import type { ClaimedJob } from '../../src/store/job.ts'
import { difference, enter, same, type Draft } from './draft.ts'
import type { ModelJob } from './state.ts'

/** Makes ready what is due. */
export function promote(draft: Draft): void {
  const due = [...draft.jobs.values()].filter(
    ({ shown }) => shown.state === 'scheduled' && shown.dueAt <= draft.now,
  )
  for (const job of due.sort((a, b) => a.shown.dueAt - b.shown.dueAt || a.order - b.order)) {
    draft.edges.push('scheduled, due → ready')
    enter(draft, job, 'ready')
  }
}

export function nextDueMs(draft: Draft): number | null {
  const due = [...draft.jobs.values()]
    .filter(({ shown }) => shown.state === 'scheduled')
    .map(({ shown }) => Math.max(0, shown.dueAt - draft.now))
  return due.length === 0 ? null : Math.min(...due)
}

/**
 * Holds a claim to the lines. `passed` are jobs that others held at that moment, so that the claim went past them; null for a claim
 * alone. What comes at the same time may be missing in `nextDueMs`, as its hint tells of it, and may come after jobs of later queues.
 */
export function explainClaim(
  draft: Draft,
  request: ClaimRequest,
  answer: Claimed & NextDue,
  passed: ReadonlySet<string> | null,
): void {
  promote(draft)
  const next = passed === null ? nextDueMs(draft) : answer.nextDueMs
  const expected = pick(draft, request, passed ?? new Set())
  const given = new Map(answer.jobs.map(({ id, token }) => [id, token]))
  const jobs = expected.map((job) => {
    draft.edges.push('ready, claim → running')
    const startedAt = job.isSuspect ? draft.now : null
    return lease(draft, job, request, given.get(job.shown.id), { why: 'ready', startedAt })
  })
  const shown = passed === null ? answer.jobs : inOrderOf(jobs, answer.jobs)
  same('claim', { ...answer, jobs: shown }, { now: draft.now, jobs, cut: false, nextDueMs: next })
}

/** The same jobs in the order of others; those that are not among these come first. */
function inOrderOf(
  order: readonly ClaimedJob[],
  jobs: readonly ClaimedJob[],
): readonly ClaimedJob[] {
  const rank = new Map(order.map(({ id }, index) => [id, index]))
  return jobs.toSorted((a, b) => (rank.get(a.id) ?? -1) - (rank.get(b.id) ?? -1))
}

/** The jobs that a claim gets, in order: a suspect only alone, and only as the first. */
function pick(
  draft: Draft,
  request: ClaimRequest,
  passed: ReadonlySet<string>,
): readonly ModelJob[] {
  const picked: ModelJob[] = []
  const named = request.queues.map(({ name }) => name)
  const all = new Set([...draft.jobs.values()].map(({ shown }) => shown.queue))
  const others = [...all].filter((name) => !named.includes(name)).sort()
  const asked = [...request.queues, ...others.map((name) => ({ name, limit: request.others }))]
  for (const { name, limit } of asked) {
    const room = Math.min(limit, request.limit - picked.length)
    if (room <= 0 || draft.paused.has(name)) continue
    const line = lineOf(draft, name).filter(({ shown }) => !passed.has(shown.id))
    const startable = line.filter(
      ({ isSuspect, shown }) => !isSuspect || shown.counters.losses <= (request.maxLosses ?? -1),
    )
    const [first] = startable
    if (first?.isSuspect === true && picked.length === 0) return [first]
    picked.push(...startable.filter(({ isSuspect }) => !isSuspect).slice(0, room))
  }
  return picked
}

function lineOf(draft: Draft, queue: string): readonly ModelJob[] {
  return [...draft.jobs.values()]
    .filter(({ shown }) => shown.state === 'ready' && shown.queue === queue)
    .sort((a, b) => a.shown.priority - b.shown.priority || a.place - b.place || a.order - b.order)
}

/** Holds a sweep to what was lost and what waited too long. Which of them come first is the store's affair. */
export function explainExpired(
  draft: Draft,
  request: RescueRequest,
  answer: Claimed,
  passed: ReadonlySet<string> | null,
): void {
  const eligible = [...draft.jobs.values()].filter(
    (job) =>
      request.tasks.includes(job.shown.task) &&
      passed?.has(job.shown.id) !== true &&
      (isLost(job, draft.now) || isOverdue(job, draft.now)),
  )
  const ids = new Set(answer.jobs.map(({ id }) => id))
  const rightMany = Math.min(request.limit, eligible.length)
  const may = eligible.map(({ shown }) => shown.id)
  if (
    ids.size !== answer.jobs.length ||
    ids.size !== rightMany ||
    [...ids].some((id) => !may.includes(id))
  )
    throw difference('rescue', [...ids], { many: rightMany, of: may })
  const jobs = answer.jobs.map(({ id, token }) => {
    const job = draft.jobs.get(id) as ModelJob
    const { shown, overdueFrom } = job
    switch (shown.state) {
      case 'blocked':
      case 'scheduled':
      case 'ready':
        return lease(draft, { ...job, overdueFrom: shown.state }, request, token, {
          why: 'overdue',
          startedAt: null,
        })
      case 'running':
      case 'completed':
      case 'failed':
      case 'cancelled':
      case 'discarded':
        return lease(draft, job, request, token, {
          why: overdueFrom === null ? 'lost' : 'overdue',
          startedAt: shown.startedAt,
        })
    }
  })
  same('rescue', answer, { now: draft.now, jobs, cut: false })
}

export function isLost({ shown }: ModelJob, now: number): boolean {
  return shown.state === 'running' && shown.leaseUntil !== null && shown.leaseUntil <= now
}

export function isOverdue({ shown }: ModelJob, now: number): boolean {
  const isWaiting = ['blocked', 'scheduled', 'ready'].includes(shown.state)
  const { startBy, deadlineAt } = shown
  const isPast = (time: number | null): boolean => time !== null && time <= now
  return isWaiting && (isPast(startBy) || isPast(deadlineAt))
}

function lease(
  draft: Draft,
  job: ModelJob,
  request: { readonly worker: string; readonly leaseMs: number },
  token: number | undefined,
  run: { readonly why: ClaimedJob['why']; readonly startedAt: number | null },
): ClaimedJob {
  const last = job.shown.token
  // What was not handed out shows in the comparison of the answer.
  if (token !== undefined && token <= last)
    throw difference(`token of ${job.shown.id}`, token, `more than ${last}`)
  const { why, startedAt } = run
  const leaseUntil = draft.now + request.leaseMs
  const shown = { worker: request.worker, leaseUntil, token: token ?? 0, startedAt }
  const tokens = [...job.tokens, token ?? 0]
  const lostBy = why === 'lost' ? { worker: job.shown.worker ?? '', token: last } : null
  return { ...claimedOf(enter(draft, job, 'running', { shown, tokens, why })), lostBy, needed: [] }
}

function claimedOf({ shown, why }: ModelJob): Omit<ClaimedJob, 'lostBy' | 'needed'> {
  const { id, token, task, queue, priority, input, codec, options, parent, uniqueKey } = shown
  const { createdAt, dueAt, startBy, deadlineAt, counters, startedAt, cancelAsked } = shown
  const { group, tags, headers } = shown
  return {
    id,
    token,
    task,
    queue,
    priority,
    input,
    codec,
    options,
    parent,
    group,
    tags,
    headers,
    uniqueKey,
    createdAt,
    dueAt,
    startBy,
    deadlineAt,
    counters,
    startedAt,
    cancelAsked,
    why,
  }
}
