/**
 * Tends the store each few seconds: the heartbeat, what the fetcher should know, and the chores that any worker may do:
 * settling jobs whose worker died or whose clock ran out, and pruning. After a silence between it and the store, whoever was
 * silent, it rescues nobody before one renew interval of unbroken contact, so that live workers can renew first.
 */
import { sleep } from '../core/clock.ts'
import type { App } from '../client/app.ts'
import { overdue, type Outcome } from '../core/decide.ts'
import type { TaskRegistry } from '../core/registry.ts'
import { errorText } from '../core/kept-error.ts'
import type { ClaimedJob, Tended, WorkerRecord } from '../store.ts'
import type { ViewServices } from './job-view.ts'
import { rulesOf } from './rules.ts'
import { makeSettlement } from './settlement.ts'
import type { Settler } from './settler.ts'
import { answered, Loop } from './supervised.ts'

/** Jobs in one call of `expired`, finished jobs in one call of `prune`. */
const chunk = { expired: 200, prune: 1_000 } as const

/** Contact counts as unbroken after one renew interval, and after this long for short leases: clients take a moment to come back, too. */
const leastContactMs = 1_000

/** A pause between two chunks of pruning, so that it never holds the store for long. */
const prunePauseMs = 20

/** How often the cap on finished jobs is looked after; expiry is told by `tend`. */
const capEveryMs = 60_000

/** Extra calls of `tend`, asked for by the fetcher, come at most this often. */
const leastMs = 50

export interface SweeperOptions {
  readonly app: App
  readonly registry: TaskRegistry
  readonly record: () => WorkerRecord
  readonly settler: Settler
  readonly services: ViewServices
  readonly storeNow: () => number
  readonly told: (tended: Tended) => void
}

export class Sweeper {
  readonly loop: Loop
  readonly #options: SweeperOptions
  readonly #sweepMs: number
  readonly #stop = new AbortController()
  /** Since when every call was made and answered in time. */
  #contactSince: number | null = null
  #tendedAt = -Infinity
  #cappedAt = -Infinity
  #rescuing = 0

  constructor(options: SweeperOptions) {
    const { app } = options
    this.#options = options
    this.#sweepMs = Math.max(100, Math.min(5_000, app.leaseMs / 6))
    this.loop = new Loop('sweeper', app.events, app.store.clock, () => this.#pass())
  }

  /** Tends the store once, at the worker's start. Rejects when it cannot be reached. */
  async first(): Promise<void> {
    await this.#tend()
  }

  /** Asks for a `tend` out of turn. */
  ask(): void {
    this.loop.wake()
  }

  /** Ends the loop, and any pruning under way. */
  async stop(): Promise<void> {
    this.#stop.abort()
    await this.loop.stop()
  }

  async #pass(): Promise<number> {
    const { app, services } = this.#options
    const sinceMs = services.ticks() - this.#tendedAt
    if (sinceMs < leastMs) await sleep(app.store.clock, leastMs - sinceMs, this.#stop.signal)
    if (this.#stop.signal.aborted) return 0
    try {
      const tended = await this.#tend()
      const unbrokenMs = services.ticks() - (this.#contactSince ?? Infinity)
      const contactMs = Math.max(app.leaseMs / 3, leastContactMs)
      if (tended.sweep && unbrokenMs >= contactMs) await this.#sweep()
      await this.#prune(tended.prune)
    } catch (error) {
      this.#contactSince = null
      throw error
    }
    return this.#sweepMs
  }

  async #tend(): Promise<Tended> {
    const { app, record, told, services } = this.#options
    const tended = await answered(app.store.clock, app.store.tend(record()))
    const now = services.ticks()
    // A shorter silence lets no lease run out that is renewed each third of its time.
    if (now - this.#tendedAt > (app.leaseMs * 2) / 3) this.#contactSince = null
    this.#tendedAt = now
    this.#contactSince ??= now
    told(tended)
    return tended
  }

  async #sweep(): Promise<void> {
    const { app, registry, record } = this.#options
    const tasks = registry.names.filter((name) => registry.find(name)?.definition.handler)
    while (tasks.length > 0 && !this.#stop.signal.aborted && this.#rescuing < chunk.expired) {
      const request = { worker: record().id, tasks, limit: chunk.expired, leaseMs: app.leaseMs }
      const { jobs, now } = await answered(app.store.clock, app.store.expired(request))
      for (const job of jobs) this.#settle(job, outcomeOf(job, now))
      if (jobs.length < chunk.expired) return
    }
  }

  #settle(job: ClaimedJob, outcome: Outcome): void {
    const { app, registry, services, storeNow, settler } = this.#options
    const rules = rulesOf(app, registry, job)
    const made = makeSettlement({
      app,
      job,
      rules,
      outcome: rules.isReadable ? outcome : { kind: 'unreadable' },
      begun: job.startedAt !== null,
      ranMs: null,
      output: null,
      value: undefined,
      enqueued: [],
      now: storeNow(),
      client: services.client,
    })
    this.#rescuing++
    Promise.resolve(made).then(
      ({ settlement, decision }) =>
        settler.settle(settlement, (verdict) => {
          this.#rescuing--
          if (verdict === 'cancel-asked') return this.#settle(job, { kind: 'cancelled' })
          if (verdict !== 'settled' || job.why === 'ready') return
          const to =
            decision.kind === 'finish'
              ? decision.state
              : decision.delayMs > 0
                ? 'scheduled'
                : 'ready'
          app.events.emit('job-rescued', {
            id: job.id,
            task: job.task,
            queue: job.queue,
            why: rules.isReadable ? job.why : 'unreadable',
            to,
          })
        }),
      (error: unknown) => {
        this.#rescuing--
        app.events.emit('warning', {
          code: 'settlement-failed',
          message: `${job.task} ${job.id} is rescued later: ${errorText(error)}`,
        })
      },
    )
  }

  async #prune(asked: boolean): Promise<void> {
    const { app, services } = this.#options
    const now = services.ticks()
    if (!asked && now - this.#cappedAt < capEveryMs) return
    this.#cappedAt = now
    for (let more = true; more && !this.#stop.signal.aborted;) {
      const call = app.store.prune({ limit: chunk.prune, cap: app.keepAtMost })
      const pruned = await answered(app.store.clock, call)
      more = pruned.more
      // A prune of many chunks must not silence the heartbeat.
      if (services.ticks() - this.#tendedAt > this.#sweepMs) return
      if (more) await sleep(app.store.clock, prunePauseMs, this.#stop.signal)
    }
  }
}

function outcomeOf(job: ClaimedJob, now: number): Outcome {
  if (job.cancelAsked) return { kind: 'cancelled' }
  if (job.why === 'overdue') return { kind: 'overdue', reason: overdue(job, now) ?? 'deadline' }
  return { kind: 'lost' }
}
