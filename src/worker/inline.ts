/** Runs jobs in the process that enqueues them: one attempt, no retries, the outcome stored like any other. */
import type { App } from '../app/app.ts'
import type { InlineRunner } from '../client/inline-runner.ts'
import { readStoredOptions } from '../app/new-job.ts'
import { sleep } from '../core/clock.ts'
import type { Outcome } from '../core/decide.ts'
import { formatMs } from '../core/duration.ts'
import { ErrandError } from '../core/errors.ts'
import type { Policy } from '../core/options.ts'
import type { AnyTask } from '../core/task.ts'
import type { ClaimedJob } from '../store/job.ts'
import type { SettleAnswer, Settlement } from '../store/worker-calls.ts'
import { Attempt, type Ended } from './attempt.ts'
import { InlineChores } from './inline-chores.ts'
import type { ViewServices } from './job-view.ts'
import { LeaseTable } from './lease-table.ts'
import { Notes } from './notes.ts'
import { RenewLoop } from './renew-loop.ts'
import { makeSettlement } from './settlement.ts'
import { abortGraceMs } from './slots.ts'
import { ticksOf } from '../loops/time.ts'

/** The pause between two tries of a settlement that is held, in ms. */
const heldPauseMs = 250

type TaskClient = ViewServices['client']

/** Makes the runner for an app; its jobs were inserted under a lease and are renewed on the event loop. */
export function createInlineRunner(app: App, client: TaskClient): InlineRunner {
  const chores = new InlineChores(app)
  return {
    run: (job, worker, task) =>
      runInline(app, client, job, worker, task).finally(() => chores.begin()),
    stop: () => chores.stop(),
  }
}

async function runInline(
  app: App,
  client: TaskClient,
  job: ClaimedJob,
  worker: string,
  task: AnyTask,
): Promise<void> {
  const { store } = app
  const ticks = ticksOf(store)
  const context = await app.context.acquire()
  const table = new LeaseTable()
  const notes = new Notes(store, app.events, ticks)
  // What this process has just written.
  const stored = readStoredOptions(job.options) ?? {}
  const policy: Policy = {
    ...app.policy(stored.layer ?? null, task.definition, job.queue),
    retryLimit: 0,
    postponeLimit: 0,
  }
  const services: ViewServices = { ticks, client, completeIn: refuseTx }
  const attempt = new Attempt(job, {
    app,
    definition: task.definition,
    policy,
    stored,
    context,
    notes,
    services,
  })
  const lease = table.hold(job.id, job.token, true, Infinity)
  const renewals = new RenewLoop({
    store,
    clock: store.clock,
    ticks,
    shared: table.shared,
    leaseMs: app.leaseMs,
    report: ({ kind }) => {
      if (kind === 'lost') attempt.abort('lease-lost', ticks())
      if (kind === 'cancel') attempt.abort('cancelled', ticks())
    },
  })
  const unwatch = store.watch((hint) => {
    if (hint === 'cancel') renewals.check()
  })
  attempt.startedAt = ticks()
  const endsInMs = policy.timeoutMs ?? Infinity
  table.start(lease, attempt.startedAt, attempt.startedAt + endsInMs + abortGraceMs)
  renewals.wake()
  const stopTimer =
    endsInMs === Infinity
      ? () => undefined
      : store.clock.after(endsInMs, () => attempt.abort('timeout', ticks()))
  try {
    const ended = await attempt.run()
    await notes.flush(attempt)
    await settle(attempt, ended, worker)
  } finally {
    stopTimer()
    unwatch()
    notes.stop()
    table.drop(lease)
    await renewals.stop()
    await app.context.release()
  }
}

async function settle(attempt: Attempt, ended: Ended, worker: string): Promise<void> {
  const { job, parts, enqueued } = attempt
  const { app } = parts
  const { settlement } = await makeSettlement({
    rules: parts,
    app,
    ...ended,
    job,
    begun: true,
    ranMs: null,
    enqueued,
    now: app.store.clock.now(),
    worker,
    client: parts.services.client,
  })
  const answer = await settleOne(app, settlement)
  if (answer === 'cancel-asked') {
    const outcome: Outcome = { kind: 'cancelled' }
    return settle(attempt, { outcome, output: null, value: undefined }, worker)
  }
  if (answer === 'stale') {
    throw new ErrandError(
      'lease-lost',
      `${job.task} ${job.id} was taken over by a worker; its result comes from there.`,
    )
  }
}

/** Tries again, for as long as the lease lasts without renewals, while a transaction of a user holds what the settlement needs. */
async function settleOne(app: App, settlement: Settlement): Promise<SettleAnswer | undefined> {
  const { store, leaseMs } = app
  for (let waitedMs = 0; ; waitedMs += heldPauseMs) {
    const [answer] = await store.settle([settlement])
    if (answer !== 'held') return answer
    if (waitedMs >= leaseMs)
      throw new ErrandError(
        'store-busy',
        `An open transaction has held what job ${settlement.id} needs to end for ${formatMs(leaseMs)}. A worker ends it later; end that transaction.`,
        { details: { id: settlement.id } },
      )
    await sleep(store.clock, heldPauseMs)
  }
}

function refuseTx(): Promise<void> {
  return Promise.reject(
    new ErrandError('tx-unsupported', 'job.complete() works in workers only, not in inline runs.'),
  )
}
