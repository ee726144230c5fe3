/** Jobs of workers that are no programs of Errand's: their inputs decoded, their ends decided as those of any other worker. */
import type { StandardSchemaV1 } from '@standard-schema/spec'
import type { App } from '../app/app.ts'
import type { Ended, HandedJob, HandIn, HandOut, Said, SaidError } from '../app/hand-in.ts'
import { withOutputs } from '../app/needed-input.ts'
import { readStoredOptions, type TaskFacts } from '../app/new-job.ts'
import { decodePayload, encodePayload, validate } from '../app/payload.ts'
import type { Client } from '../client/client.ts'
import { overdue, type Outcome } from '../core/decide.ts'
import { longOf, plainOf } from '../core/digits.ts'
import { isErrandError } from '../core/errors.ts'
import { canonicalJson, fromJsonWithDigits } from '../core/json.ts'
import { StoreTime } from '../loops/store-time.ts'
import { ticksOf } from '../loops/time.ts'
import type { ClaimedJob, StoredJob } from '../store/job.ts'
import { makeSettlement } from './settlement.ts'
import { failed, type RunResult } from './runner.ts'
import type { EndRules } from './rules.ts'

/** Jobs in one sweep. */
const sweepLimit = 100

export function createHandIn(app: App, client: Pick<Client, 'taskFacts'>): HandIn {
  const { store } = app
  const ticks = ticksOf(store)
  const time = new StoreTime(ticks, store.clock.now())

  async function rulesOf(job: Pick<ClaimedJob, 'task' | 'queue' | 'options'>): Promise<EndRules> {
    const facts: TaskFacts = await client.taskFacts(job.task)
    const stored = readStoredOptions(job.options) ?? {}
    return {
      definition: {
        onSuccess: facts.onSuccess ?? [],
        onFailure: facts.onFailure ?? [],
        publish: facts.publish ?? [],
      },
      stored,
      isReadable: true,
      policy: app.policy(stored.layer ?? null, facts, job.queue),
    }
  }

  async function settle(
    job: ClaimedJob,
    worker: string,
    result: RunResult,
    how: { readonly begun: boolean; readonly ranMs: number | null },
  ): Promise<Ended> {
    const rules = await rulesOf(job)
    const now = ticks()
    const { settlement, decision } = await makeSettlement(
      { app, client, worker },
      {
        ...result,
        job,
        rules,
        begun: how.begun,
        startedAt: how.ranMs === null ? null : now - how.ranMs,
        enqueued: [],
      },
      { now: time.at(now), ticks: now },
    )
    const [answer = 'stale'] = await store.settle([settlement])
    switch (answer) {
      case 'stale':
      case 'held':
        return answer
      case 'cancel-asked':
        return settle(job, worker, failed({ kind: 'cancelled' }), how)
      case 'settled':
        if (decision.kind === 'finish') return decision.state
        return decision.delayMs > 0 ? 'scheduled' : 'ready'
    }
  }

  /** Puts a job back for others, or fails it where nobody can take it. */
  async function refuse(job: ClaimedJob, worker: string, outcome: Outcome): Promise<void> {
    const how = { begun: false, ranMs: null }
    const ended = await settle(job, worker, failed(outcome), how)
    if (ended === 'held')
      app.events.warn('settlement-failed', { id: job.id, task: job.task, error: ended })
  }

  async function handOut(job: ClaimedJob, { worker, tasks }: HandOut): Promise<HandedJob | null> {
    const outcome = whyNot(job, tasks, time.now)
    if (outcome !== null) {
      await refuse(job, worker, outcome)
      return null
    }
    try {
      const decoded = decodePayload(app, job.input, job.codec, 'input', fromJsonWithDigits)
      const { id, token, task, queue, headers, counters, needed } = job
      const { policy } = await rulesOf(job)
      return {
        id,
        token,
        task,
        queue,
        headers,
        input: withOutputs(app, decoded, needed, fromJsonWithDigits),
        attempt: counters.attempts + 1,
        timeoutMs: policy.timeoutMs,
      }
    } catch (error) {
      const isUnknown = isErrandError(error, 'unknown-codec')
      const outcomeOf: Outcome = isUnknown
        ? { kind: 'unknown' }
        : { kind: 'unrecoverable', reason: 'invalid-input', error }
      await refuse(job, worker, outcomeOf)
      return null
    }
  }

  return {
    async claim(request) {
      const { worker, queues, limit, leaseMs, id } = request
      const claimed = await store.claim({
        worker,
        queues: queues.map((name) => ({ name, limit })),
        others: 0,
        limit,
        leaseMs,
        maxLosses: sweepLimit,
        id,
      })
      time.heard(claimed.now)
      const jobs = await Promise.all(claimed.jobs.map((job) => handOut(job, request)))
      return { jobs: jobs.filter((job) => job !== null), nextDueMs: claimed.nextDueMs }
    },

    async end({ id, token }, worker, said) {
      const [stored] = await store.get([id])
      if (stored === null || stored === undefined || stored.token !== token) return 'stale'
      if (stored.state !== 'running') return repeated(stored, said)
      const job: ClaimedJob = { ...stored, why: 'ready', lostBy: null, needed: [] }
      const result = await resultOf(app, job, said)
      const begun = said.kind !== 'release' || stored.startedAt !== null
      return settle(job, worker, result, { begun, ranMs: said.ranMs })
    },

    async sweep(tasks) {
      const request = { worker: 'manager', tasks, limit: sweepLimit, leaseMs: app.leaseMs }
      const { jobs, now } = await store.rescue(request)
      time.heard(now)
      for (const job of jobs) {
        const how = { begun: job.startedAt !== null, ranMs: null }
        const outcome = rescuedAs(job, now)
        const ended = await settle(job, job.lostBy?.worker ?? 'manager', failed(outcome), how)
        const { id, task, queue, why } = job
        if (ended !== 'stale' && ended !== 'held' && why !== 'ready')
          app.events.emit('job-rescued', { id, task, queue, why, to: ended })
      }
    },
  }
}

/** Why a job is not for this worker; null when it is. */
function whyNot(job: ClaimedJob, tasks: readonly string[], now: number): Outcome | null {
  if (job.why === 'unreadable' || readStoredOptions(job.options) === null)
    return { kind: 'unreadable' }
  if (!tasks.includes(job.task)) return { kind: 'unknown' }
  if (job.cancelAsked) return { kind: 'cancelled' }
  const reason = overdue(job, now)
  if (reason !== null) return { kind: 'overdue', reason }
  return job.needed === 'later' ? { kind: 'unstarted' } : null
}

function rescuedAs(job: ClaimedJob, now: number): Outcome {
  if (job.why === 'unreadable') return { kind: 'unreadable' }
  if (job.cancelAsked) return { kind: 'cancelled' }
  if (job.why === 'overdue') return { kind: 'overdue', reason: overdue(job, now) ?? 'deadline' }
  return { kind: 'lost' }
}

async function resultOf(app: App, job: ClaimedJob, said: Said): Promise<RunResult> {
  switch (said.kind) {
    case 'complete':
      return completed(app, job, said.output)
    case 'fail': {
      const error = errorOf(said.error)
      if (said.retry === 'yes') return failed({ kind: 'failed', error, reason: 'error' })
      if (said.retry === 'no') return failed({ kind: 'unrecoverable', error, reason: 'error' })
      return failed({ kind: 'retry-after', error, delayMs: said.retry })
    }
    case 'postpone':
      return failed({ kind: 'postponed', delayMs: said.delayMs })
    case 'discard':
      return failed({ kind: 'discarded', reason: said.reason })
    case 'release':
      return failed(job.startedAt === null ? { kind: 'unstarted' } : { kind: 'interrupted' })
  }
}

async function completed(app: App, job: ClaimedJob, output: unknown): Promise<RunResult> {
  const schema = (await app.tasks()).find(job.task)?.definition.output ?? null
  try {
    const value = schema === null ? longOf(output) : await checked(schema, output)
    const codec = job.codec === null ? null : (app.findCodec(job.codec) ?? null)
    return {
      outcome: { kind: 'completed' },
      output: encodePayload(app, value, codec, 'output'),
      value,
    }
  } catch (error) {
    if (!isErrandError(error, 'invalid-output')) throw error
    return failed({ kind: 'unrecoverable', reason: 'invalid-output', error })
  }
}

/** What a schema makes of an output: where that is the same, with the digits that its worker sent. */
async function checked(schema: StandardSchemaV1, output: unknown): Promise<unknown> {
  const plain = plainOf(output)
  const made = await validate(schema, plain, 'invalid-output', 'output')
  const long = longOf(output)
  return long !== plain && canonicalJson(made) === canonicalJson(plain) ? long : made
}

/** An error as its worker described it, in the form in which errors are thrown here. */
function errorOf({ type, message, stack, code }: SaidError): Error {
  const error = new Error(message)
  error.name = type
  error.stack = stack ?? ''
  return code === null ? error : Object.assign(error, { code })
}

/** The job has ended under this lease: the same words again change nothing. */
function repeated(stored: StoredJob, { kind }: Said): Ended {
  switch (stored.state) {
    case 'completed':
      return kind === 'complete' ? 'completed' : 'stale'
    case 'failed':
      return kind === 'fail' || kind === 'complete' ? 'failed' : 'stale'
    case 'discarded':
    case 'cancelled':
      return stored.state
    case 'scheduled':
      return kind === 'fail' || kind === 'postpone' ? 'scheduled' : 'stale'
    case 'ready':
      return kind === 'release' ? 'ready' : 'stale'
    case 'blocked':
    case 'running':
      return 'stale'
  }
}
