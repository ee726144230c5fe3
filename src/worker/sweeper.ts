/**
 * Tends the store each few seconds: the heartbeat, what the fetcher should know, and the chores that any worker may do:
 * settling jobs whose worker died or whose clock ran out, and pruning. Each of the three has a loop of its own, so that none waits for
 * another: a heartbeat learns what there is to do and wakes the loop that does it. After a silence between it and the store, whoever was
 * silent, it rescues nobody before one renew interval of unbroken contact, so that live workers can renew first.
 */
import { sleep } from '../core/clock.ts'
import type { App } from '../app/app.ts'
import { overdue, type Outcome } from '../core/decide.ts'
import type { TaskList } from '../core/task-list.ts'
import { errorText } from '../core/kept-error.ts'
import type { ClaimedJob } from '../store/job.ts'
import type { Tended } from '../store/worker-calls.ts'
import type { WorkerRecord } from '../store/registry.ts'
import type { ViewServices } from './job-view.ts'
import { rulesOf } from './rules.ts'
import { makeSettlement } from './settlement.ts'
import type { Settler } from './settler.ts'
import { answered, Loop } from '../loops/supervised.ts'

/** Jobs in one call of `expired`, finished jobs in one call of `prune`. */
const chunk = { rescue: 200, prune: 1_000 } as const

/** Contact counts as unbroken after one renew interval, and after this long for short leases: clients take a moment to come back, too. */
const leastContactMs = 1_000

/** A pause between two chunks of pruning, so that it leaves the store to others. */
const prunePauseMs = 20

/** How often the cap on finished jobs is looked after; expiry is told by `tend`. */
const capEveryMs = 60_000

/** Extra calls of `tend`, asked for by the fetcher, come at most this often. */
const leastMs = 50

export interface SweeperOptions {
  readonly app: App
  readonly registry: TaskList
  readonly record: () => WorkerRecord
  readonly settler: Settler
  readonly services: ViewServices
  readonly storeNow: () => number
  readonly told: (tended: Tended) => void
}

export class Sweeper {
  readonly loops: readonly [heartbeat: Loop, rescue: Loop, prune: Loop]
  readonly #options: SweeperOptions
  readonly #sweepMs: number
  readonly #stop = new AbortController()
  /** Since when every call was made and answered in time. */
  #contactSince: number | null = null
  #tendedAt = -Infinity
  #cappedAt = -Infinity
  #rescuing = 0
  #mustRescue = false
  #mustPrune = false

  constructor(options: SweeperOptions) {
    const { app } = options
    this.#options = options
    this.#sweepMs = Math.max(100, Math.min(5_000, app.leaseMs / 6))
    const loop = (part: string, pass: () => Promise<number>): Loop =>
      new Loop(part, app.events, app.store.clock, pass)
    this.loops = [
      loop('sweeper', () => this.#pass()),
      loop('rescue', () => this.#rescue()),
      loop('pruning', () => this.#prune()),
    ]
  }

  /** Tends the store once, at the worker's start. Rejects when it cannot be reached. */
  async first(): Promise<void> {
    await this.#tend()
  }

  /** Asks for a `tend` out of turn. */
  ask(): void {
    this.loops[0].wake()
  }

  start(): void {
    for (const loop of this.loops) loop.start()
  }

  /** Ends the loops, and any pruning under way. */
  async stop(): Promise<void> {
    this.#stop.abort()
    await Promise.all(this.loops.map((loop) => loop.stop()))
  }

  async #pass(): Promise<number> {
    const { app, services } = this.#options
    const sinceMs = services.ticks() - this.#tendedAt
    if (sinceMs < leastMs) await sleep(app.store.clock, leastMs - sinceMs, this.#stop.signal)
    if (this.#stop.signal.aborted) return 0
    const tended = await this.#inContact(() => this.#tend())
    const [, rescue, prune] = this.loops
    this.#mustRescue = tended.sweepDue
    if (tended.sweepDue) rescue.wake()
    this.#mustPrune ||= tended.pruneDue || services.ticks() - this.#cappedAt >= capEveryMs
    if (this.#mustPrune) prune.wake()
    return this.#sweepMs
  }

  /** Makes calls whose failure is a silence of the store. */
  async #inContact<T>(calls: () => Promise<T>): Promise<T> {
    try {
      return await calls()
    } catch (error) {
      this.#contactSince = null
      throw error
    }
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

  async #rescue(): Promise<number> {
    const { app, services } = this.#options
    const unbrokenMs = services.ticks() - (this.#contactSince ?? Infinity)
    const contactMs = Math.max(app.leaseMs / 3, leastContactMs)
    if (this.#mustRescue && unbrokenMs >= contactMs) {
      this.#mustRescue = await this.#inContact(() => this.#settleExpired())
    }
    return Infinity
  }

  /** Returns whether to go on once these jobs are settled: their inputs are all that it holds at once. */
  async #settleExpired(): Promise<boolean> {
    const { app, registry, record } = this.#options
    const tasks = registry.names.filter((name) => registry.find(name)?.definition.handler)
    while (tasks.length > 0 && !this.#stop.signal.aborted && this.#rescuing < chunk.rescue) {
      const request = { worker: record().id, tasks, limit: chunk.rescue, leaseMs: app.leaseMs }
      const { jobs, now, cut } = await answered(app.store.clock, app.store.rescue(request))
      for (const job of jobs) this.#settle(job, outcomeOf(job, now))
      if (cut) return true
      if (jobs.length < chunk.rescue) return false
    }
    return false
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
      worker: this.#options.record().id,
      client: services.client,
    })
    this.#rescuing++
    Promise.resolve(made).then(
      ({ settlement, decision }) =>
        settler.settle(settlement, (verdict) => {
          this.#rescued()
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
        this.#rescued()
        app.events.emit('warning', {
          code: 'settlement-failed',
          message: `${job.task} ${job.id} is rescued later: ${errorText(error)}`,
        })
      },
    )
  }

  #rescued(): void {
    this.#rescuing--
    if (this.#rescuing === 0 && this.#mustRescue) this.loops[1].wake()
  }

  async #prune(): Promise<number> {
    const { app, services } = this.#options
    if (!this.#mustPrune) return Infinity
    this.#cappedAt = services.ticks()
    while (!this.#stop.signal.aborted) {
      const call = app.store.prune({ limit: chunk.prune, cap: app.keepAtMost })
      const { more } = await answered(app.store.clock, call)
      if (!more) break
      await sleep(app.store.clock, prunePauseMs, this.#stop.signal)
    }
    this.#mustPrune = false
    return Infinity
  }
}

function outcomeOf(job: ClaimedJob, now: number): Outcome {
  if (job.cancelAsked) return { kind: 'cancelled' }
  if (job.why === 'overdue') return { kind: 'overdue', reason: overdue(job, now) ?? 'deadline' }
  return { kind: 'lost' }
}
