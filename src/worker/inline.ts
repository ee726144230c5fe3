/**
 * Runs jobs in the process that enqueues them: one attempt, no retries, the outcome stored like any
 * other.
 */
import type { App } from '../app/app.ts'
import type { Client } from '../client/client.ts'
import type { InlineRunner } from '../client/inline-runner.ts'
import { ErrandError } from '../core/errors.ts'
import type { AnyTask } from '../core/task.ts'
import { InlineChores } from '../keeper/inline-chores.ts'
import { stopDefaults } from '../loops/stop-defaults.ts'
import { StoreTime } from '../loops/store-time.ts'
import { ticksOf } from '../loops/time.ts'
import type { ClaimedJob } from '../store/job.ts'
import { Attempt } from './attempt.ts'
import { LeaseTable } from './lease-table.ts'
import { Notes } from './notes.ts'
import { RenewLoop } from './renew-loop.ts'
import { readRules, type Rules } from './rules.ts'
import { runnerHere } from './run-here.ts'
import { SettleBatches } from './settle-batches.ts'
import { Settler, type End } from './settler.ts'

/** What all inline runs of an app share. */
interface Shared {
  readonly app: App
  readonly client: Pick<Client, 'taskFacts' | 'prepareAll'>
  readonly batches: SettleBatches
}

/**
 * Makes the runner for an app; its jobs were inserted under a lease and are renewed on the event
 * loop.
 */
export function createInlineRunner(app: App, client: Shared['client']): InlineRunner {
  const { store, events } = app
  const chores = new InlineChores(app)
  // The caller waits: for what is held as long as the lease lasts without renewals, and not for a
  // store that is away.
  const patience = { heldMs: app.leaseMs }
  const shared = { app, client, batches: new SettleBatches({ store, events, patience }) }
  return {
    run: (job, worker, task) => runInline(shared, job, worker, task).finally(() => chores.begin()),
    stop: () => chores.stop(),
  }
}

async function runInline(
  { app, client, batches }: Shared,
  job: ClaimedJob,
  worker: string,
  task: AnyTask,
): Promise<void> {
  const { store } = app
  const ticks = ticksOf(store)
  const time = new StoreTime(ticks, store.clock.now())
  const context = await app.context.acquire()
  const table = new LeaseTable()
  const notes = new Notes(store, app.events, ticks)
  const rules = onceOnly(readRules(app, task.definition, job))
  const settler = new Settler({
    app,
    client,
    worker,
    rulesOf: () => rules,
    table,
    batches,
    ticks,
    time,
    tellsRuns: false,
  })
  const lease = table.hold(job.id, job.token, true, Infinity)
  const attempt = new Attempt(
    { job, lease, rules, seat: null },
    { notes, completeIn: refuseTx, callsOf: refuseCalls },
  )
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
  const unwatch = store.watch(
    (hint) => {
      if (hint === 'cancel') renewals.check()
    },
    ['cancel'],
  )
  const startedAt = ticks()
  const endsInMs = rules.policy.timeoutMs ?? Infinity
  table.start(lease, startedAt, startedAt + endsInMs + stopDefaults.abortGraceMs)
  renewals.wake()
  const stopTimer =
    endsInMs === Infinity
      ? () => undefined
      : store.clock.after(endsInMs, () => attempt.abort('timeout', ticks()))
  try {
    const run = attempt.begin(
      runnerHere({ app, client, context, ticks, isolated: null, broken: null }),
      startedAt,
    )
    const end = await new Promise<End>((over, reject) => {
      settler.end(attempt, run, stopTimer, over).catch(reject)
    })
    if (end.kind === 'refused' || end.kind === 'unwritten') throw end.error
    if (end.kind === 'stale') {
      throw new ErrandError(
        'lease-lost',
        `${job.task} ${job.id} was taken over by a worker; its result comes from there.`,
      )
    }
  } finally {
    stopTimer()
    unwatch()
    settler.stopKeeping()
    notes.stop()
    table.drop(lease)
    await renewals.stop()
    await app.context.release()
  }
}

/** What its stored options say as well, so that a worker that comes to it runs it no more often. */
function onceOnly(rules: Rules): Rules {
  return { ...rules, policy: { ...rules.policy, retryLimit: 0, postponeLimit: 0 } }
}

function refuseCalls(): never {
  throw new ErrandError(
    'invalid-option',
    'job.call() works in workers only: an inline run has one attempt, so nothing would take its calls up. Enqueue the job without inline.',
  )
}

function refuseTx(): Promise<void> {
  return Promise.reject(
    new ErrandError('tx-unsupported', 'job.complete() works in workers only, not in inline runs.'),
  )
}
