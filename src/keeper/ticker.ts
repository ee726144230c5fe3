/**
 * Fires schedules. Any number of processes do; each tick gives exactly one job, since the record of
 * its schedule moves in the same step as the job is inserted, from a text that only one of them can
 * still find there.
 *
 * Modes: resting (until the next tick, or a change of schedules) → firing (all that is due, a
 * thousand schedules at a time) → resting. Who fired a schedule last fires it at once; others look
 * a moment later whether that was done, so that in peace a tick costs one call in all.
 */
import type { App } from '../app/app.ts'
import { ErrandError, isErrandError } from '../core/errors.ts'
import type { JobState } from '../core/job.ts'
import { errorText } from '../core/kept-error.ts'
import { cutText } from '../core/text.ts'
import { readDeclarations, type Declarations } from '../flows/schedules/declarations.ts'
import type { Declared } from '../flows/schedules/declared.ts'
import { cancelOpen } from '../flows/schedules/cancel-open.ts'
import { fire, paused, withSkipped, type Firing } from '../flows/schedules/fire.ts'
import { planDue } from '../flows/schedules/plan.ts'
import { getRecords, listRecords, putRecord } from '../flows/schedules/records.ts'
import {
  scheduleKey,
  versionKey,
  writeSchedule,
  type StoredSchedule,
} from '../flows/schedules/stored.ts'
import { looksBack } from '../flows/schedules/tick-job.ts'
import { answered } from '../loops/call-deadline.ts'
import { Loop, mayPass } from '../loops/supervised.ts'
import type { StoreTime } from '../loops/store-time.ts'
import type { Ticks } from '../loops/time.ts'
import type { InsertAnswer } from '../store/intake.ts'
import { KnownSchedules, type KnownSchedule } from './known-schedules.ts'
import type { LocalRuns } from './local-runs.ts'

/** Times in milliseconds, and what goes into one call. */
const bounds = {
  schedules: 1_000,
  jobs: 1_000,
  chars: 8_000_000,
  /** Whether schedules have changed is looked at after a hint, at most this often. */
  leastLookMs: 500,
  /** All schedules are read anew this often, in case a hint or an announcement was lost. */
  relistMs: 300_000,
  /** A schedule of other code that nobody living declares is looked at again after this. */
  forgottenMs: 60_000,
  /** A schedule that somebody else has moved, or a transaction holds, is looked at again after this. */
  againMs: 50,
  /** What other workers declare is believed for so long. */
  trustMs: 1_000,
  /** A rule of the code that takes longer keeps others from firing. */
  ruleMs: 1_000,
} as const

export interface TickerOptions {
  readonly app: App
  readonly declared: ReadonlyMap<string, Declared>
  readonly time: StoreTime
  readonly ticks: Ticks
  readonly runs: LocalRuns
  /** All schedules have been read anew. */
  readonly listed: () => void
}

/** What is fired together with its schedule, and the record that it makes. */
interface Shot {
  readonly known: KnownSchedule
  readonly firing: Firing
  readonly text: string
}

export class Ticker {
  readonly loop: Loop
  readonly schedules: KnownSchedules
  readonly #options: TickerOptions
  /** Schedules whose rule threw, to be paused. */
  readonly #broken = new Map<string, { readonly text: string; readonly to: StoredSchedule }>()
  #version: string | null = null
  #lookedAt = -Infinity
  #listedAt = -Infinity
  #isHinted = true
  #declarations: { readonly at: number; readonly known: Declarations } | null = null

  constructor(options: TickerOptions) {
    const { app, declared } = options
    this.#options = options
    this.schedules = new KnownSchedules(declared, {
      broken: (stored, text, error) => this.#breaks(stored, text, error),
      unreadable: (schedule, error) => app.events.warn('schedule-unreadable', { schedule, error }),
    })
    this.loop = new Loop('schedules', app.events, app.store.clock, () => this.fireDue())
  }

  /** A record of the store has changed. */
  hint(): void {
    this.#isHinted = true
    this.loop.wake()
  }

  stop(): Promise<void> {
    return this.loop.stop()
  }

  get #lookEveryMs(): number {
    return this.#isHinted ? bounds.leastLookMs : bounds.relistMs
  }

  /** Reads all schedules anew, if any was put, paused, resumed or removed since the last time. */
  async #look(): Promise<void> {
    const { app, ticks } = this.#options
    const { store } = app
    this.#isHinted = false
    const [version = null] = await answered(store.clock, store.getRecords([versionKey]))
    this.#lookedAt = ticks()
    if (version === this.#version && ticks() - this.#listedAt < bounds.relistMs) return
    this.schedules.adoptAll(await listRecords(store))
    this.#version = version
    this.#listedAt = ticks()
    this.#options.listed()
  }

  /** One pass of the loop: fires what is due. Resolves with how long to rest after it, in milliseconds. */
  async fireDue(): Promise<number> {
    const { time, ticks } = this.#options
    const sinceMs = ticks() - this.#lookedAt
    if (sinceMs >= this.#lookEveryMs) await this.#look()
    await this.#pauseBroken()
    const { due, nextAt } = this.schedules.due(time.now, bounds.schedules)
    if (due.length > 0) {
      await this.#fire(due)
      return 0
    }
    const lookMs = this.#lookedAt + this.#lookEveryMs - ticks()
    return Math.max(1, Math.min(nextAt - time.now, lookMs))
  }

  async #fire(due: readonly KnownSchedule[]): Promise<void> {
    const wanted = await this.#mayFire(await this.#refreshed(due))
    const states = await this.#statesOf(wanted)
    const shots = wanted.flatMap((known) => this.#aim(known, states))
    await this.#cancel(shots)
    for (const batch of batchesOf(shots.filter(({ firing }) => firing.jobs.length > 0)))
      await this.#insert(batch)
    await this.#move(shots.filter(({ firing }) => firing.jobs.length === 0))
  }

  /** Looks whether somebody else has fired them; returns those that are still due. */
  async #refreshed(due: readonly KnownSchedule[]): Promise<readonly KnownSchedule[]> {
    const { app, time } = this.#options
    const doubtful = due.filter(({ isMine }) => !isMine).map(({ name }) => name)
    if (doubtful.length === 0) return due
    const records = await getRecords(app.store, doubtful)
    for (const [n, name] of doubtful.entries())
      this.schedules.adopt(name, records[n] ?? null, false)
    return this.schedules.due(time.now, bounds.schedules).due
  }

  /** Leaves out schedules of other code that no living worker declares. */
  async #mayFire(due: readonly KnownSchedule[]): Promise<readonly KnownSchedule[]> {
    const { declared, time } = this.#options
    const isForeign = ({ stored: { owner, name } }: KnownSchedule): boolean =>
      owner.kind === 'code' && !declared.has(name)
    if (!due.some(isForeign)) return due
    const declarations = await this.declarations()
    return due.filter((known) => {
      const { owner, name } = known.stored
      if (!isForeign(known) || owner.kind !== 'code') return true
      const may = declarations.has(owner.scheduler, name)
      if (!may) known.notBefore = time.now + bounds.forgottenMs
      return may
    })
  }

  /** What living workers declare, as it was a second ago at most. */
  async declarations(): Promise<Declarations> {
    const { app, time, ticks } = this.#options
    if (this.#declarations !== null && ticks() - this.#declarations.at < bounds.trustMs)
      return this.#declarations.known
    const known = await readDeclarations(app.store, time.now)
    this.#declarations = { at: ticks(), known }
    return known
  }

  async #statesOf(due: readonly KnownSchedule[]): Promise<ReadonlyMap<string, JobState>> {
    const { store } = this.#options.app
    const ids = due.flatMap(({ stored }) => (looksBack(stored) ? stored.open : []))
    const states = new Map<string, JobState>()
    for (let from = 0; from < ids.length; from += bounds.jobs) {
      const some = ids.slice(from, from + bounds.jobs)
      for (const job of await answered(store.clock, store.get(some)))
        if (job !== null) states.set(job.id, job.state)
    }
    return states
  }

  #aim(known: KnownSchedule, states: ReadonlyMap<string, JobState>): Shot[] {
    const { declared, time, ticks } = this.#options
    const { stored } = known
    const begun = ticks()
    try {
      const choose = declared.get(known.name)?.choose ?? null
      const plan = planDue(stored, known.ticks, time.now, choose)
      const tookMs = ticks() - begun
      if (stored.when.kind === 'rule' && tookMs > bounds.ruleMs)
        throw new ErrandError('timeout', `its rule took ${Math.round(tookMs)} ms`)
      if (plan === null) {
        known.notBefore = time.now + bounds.againMs
        return []
      }
      const firing = fire(stored, plan, (id) => states.get(id) ?? null, time.now)
      return [{ known, firing, text: writeSchedule(firing.to) }]
    } catch (error) {
      this.#breaks(stored, known.text, error)
      known.due = null
      return []
    }
  }

  /** An earlier job that is to make room is cancelled before its successor is made: a crash in between repeats it. */
  async #cancel(shots: readonly Shot[]): Promise<void> {
    const { store } = this.#options.app
    for (const { firing } of shots)
      if (firing.cancel.length > 0) await cancelOpen(store, firing.to, firing.cancel)
  }

  async #insert(shots: readonly Shot[]): Promise<void> {
    const { store, events } = this.#options.app
    const jobs = shots.flatMap(({ firing }) => events.tracing?.ticked(firing.jobs) ?? firing.jobs)
    const advance = shots.map(({ known, firing, text }) => ({
      key: scheduleKey(known.name),
      from: known.text,
      to: text,
      jobs: firing.jobs.map(({ id }) => id),
    }))
    for (const { known } of shots) known.isMine = false
    try {
      const answers = await answered(store.clock, store.insert(jobs, { advance }))
      let from = 0
      for (const shot of shots)
        await this.#inserted(shot, answers.slice(from, (from += shot.firing.jobs.length)))
    } catch (error) {
      if (mayPass(error) !== 'no') throw error
      const [first] = shots
      if (shots.length > 1) for (const shot of shots) await this.#insert([shot])
      else if (first !== undefined) this.#breaks(first.known.stored, first.known.text, error)
    }
  }

  async #inserted({ known, firing, text }: Shot, answers: readonly InsertAnswer[]): Promise<void> {
    const { app, time } = this.#options
    if (answers.some(({ status }) => status === 'stale' || status === 'held')) {
      known.notBefore = time.now + bounds.againMs
      return
    }
    const { name } = known
    const { to } = firing
    const skipped = new Set<string>()
    for (const [n, { id }] of firing.jobs.entries()) if (answers[n]?.id !== id) skipped.add(id)
    this.schedules.adopt(name, { name, text, stored: to }, true)
    for (const { job, at } of to.last) {
      if (job === null || !firing.jobs.some(({ id }) => id === job)) continue
      const status = skipped.has(job) ? 'skipped' : 'created'
      const lagMs = Math.max(0, time.now - at)
      app.events.emit('tick-fired', { schedule: name, plannedAt: new Date(at), job, status, lagMs })
    }
    if (skipped.size > 0) await this.#tellSkipped(name, text, withSkipped(to, skipped))
  }

  /** Only for people to see: what follows does not depend on it. */
  async #tellSkipped(name: string, from: string, to: StoredSchedule): Promise<void> {
    const text = writeSchedule(to)
    if (await putRecord(this.#options.app.store, name, from, text))
      this.schedules.adopt(name, { name, text, stored: to }, true)
  }

  /** Moves schedules on whose ticks enqueue nothing: a function is called, or none runs. */
  async #move(shots: readonly Shot[]): Promise<void> {
    const { app, declared, runs, time } = this.#options
    for (const { known, firing, text } of shots) {
      const { name } = known
      known.isMine = false
      if (!(await putRecord(app.store, name, known.text, text))) {
        known.notBefore = time.now + bounds.againMs
        continue
      }
      this.schedules.adopt(name, { name, text, stored: firing.to }, true)
      if (firing.to.paused !== null) this.#tellPaused(firing.to)
      const run = declared.get(name)?.run ?? null
      if (run !== null) for (const tick of firing.runs) runs.begin(name, run, new Date(tick.at))
    }
  }

  /** A schedule that cannot go on is paused, so that it is seen, and the others fire. */
  #breaks(stored: StoredSchedule, text: string, error: unknown): void {
    const why = {
      at: this.#options.time.now,
      by: 'error',
      note: cutText(isErrandError(error) ? error.message : errorText(error), 500),
    } as const
    this.#broken.set(stored.name, { text, to: paused(stored, why) })
  }

  async #pauseBroken(): Promise<void> {
    for (const [name, { text, to }] of this.#broken) {
      if (await putRecord(this.#options.app.store, name, text, writeSchedule(to)))
        this.#tellPaused(to)
      this.#broken.delete(name)
      const [record = null] = await getRecords(this.#options.app.store, [name])
      this.schedules.adopt(name, record, false)
    }
  }

  #tellPaused({ name, paused: why }: StoredSchedule): void {
    if (why !== null)
      this.#options.app.events.warn('schedule-paused', { schedule: name, why: why.note })
  }
}

function* batchesOf(shots: readonly Shot[]): Generator<readonly Shot[]> {
  let batch: Shot[] = []
  let jobs = 0
  let chars = 0
  for (const shot of shots) {
    const { known, firing, text } = shot
    const size = firing.jobs.reduce(
      (sum, { input }) => sum + input.length,
      known.text.length + text.length,
    )
    const isFull = jobs + firing.jobs.length > bounds.jobs || chars + size > bounds.chars
    if (isFull && batch.length > 0) {
      yield batch
      batch = []
      jobs = chars = 0
    }
    batch.push(shot)
    jobs += firing.jobs.length
    chars += size
  }
  if (batch.length > 0) yield batch
}
