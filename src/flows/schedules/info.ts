/** Schedules as people read them. */
import type { JobState } from '../../core/job.ts'
import { answered } from '../../loops/call-deadline.ts'
import type { Store } from '../../store/store.ts'
import type { ScheduleBook } from './book.ts'
import { readDeclarations, type Declarations } from './declarations.ts'
import type { Declared } from './declared.ts'
import { describeWhen } from './describe.ts'
import { ticksOfRule } from './own-rule.ts'
import { nextDue } from './plan.ts'
import type { FiredTick, StoredSchedule } from './stored.ts'
import { ticksOf, type Ticks } from './ticks.ts'

/** Jobs in one call. */
const most = 1_000

/** A schedule as people read it. */
export interface ScheduleInfo {
  readonly name: string
  /** When it fires, in words: `'0 3 * * MON-FRI Europe/Prague'`, `'every 15 min'`. */
  readonly when: string
  /** The task that it enqueues, or the workflow that it starts; null for a function. */
  readonly task: string | null
  readonly queue: string | null
  readonly overlap: StoredSchedule['overlap']
  /** `code` with the name of its scheduler, or `operator`. */
  readonly owner: string
  /** Whether an operator's edit holds in place of what the code says. */
  readonly edited: boolean
  /** Whether somebody fires it: code that declares it lives, or it is an operator's. */
  readonly declared: boolean
  /** Since when it is paused, and why; null when it fires. */
  readonly paused: { readonly at: Date; readonly note: string } | null
  /** Its next tick; null when there is none, it is paused, or only its own code knows. */
  readonly next: Date | null
  /** How many ticks ran. */
  readonly fired: number
  /** The last ticks that ran, oldest first, at most 5. */
  readonly last: readonly TickInfo[]
  /** How late it is: its next tick should have fired so long ago; 0 when it is in time. */
  readonly lagMs: number
}

export interface TickInfo {
  readonly plannedAt: Date
  readonly firedAt: Date
  readonly job: string | null
  /** What became of it; `skipped` when an earlier one had not ended, `gone` when the job is not kept any more. */
  readonly state: JobState | 'skipped' | 'gone' | 'called'
}

/** The store's time, which a claim of nothing returns. */
export async function storeNow(store: Store): Promise<number> {
  const nothing = { worker: '', queues: [], others: 0, limit: 0, leaseMs: 1_000 }
  const call = store.claim({ ...nothing, maxLosses: null, id: null })
  return (await answered(store.clock, call)).now
}

/** One schedule as people read it. */
export async function describe(
  store: Store,
  book: ScheduleBook,
  stored: StoredSchedule,
): Promise<ScheduleInfo> {
  const states = await statesOf(store, [stored])
  const context = await contextOf(store, book)
  return infoOf(stored, states, context)
}

/** Schedules as people read them, in the order given. */
export async function describeAll(
  store: Store,
  book: ScheduleBook,
  schedules: readonly StoredSchedule[],
): Promise<readonly ScheduleInfo[]> {
  const states = await statesOf(store, schedules)
  const context = await contextOf(store, book)
  return schedules.map((stored) => infoOf(stored, states, context))
}

/** What is known beside the schedules themselves. */
interface Context {
  readonly now: number
  readonly declared: ReadonlyMap<string, Declared>
  readonly declarations: Declarations
}

async function contextOf(store: Store, book: ScheduleBook): Promise<Context> {
  const now = await storeNow(store)
  const declarations = await readDeclarations(store, now)
  return { now, declared: await book.declared(), declarations }
}

function infoOf(
  stored: StoredSchedule,
  states: ReadonlyMap<string, JobState>,
  { now, declared, declarations }: Context,
): ScheduleInfo {
  const { name, owner, enqueues, paused, fired, overlap } = stored
  const rule = declared.get(name)?.rule ?? null
  const due = dueOf(stored, rule === null ? null : ticksOfRule(rule, name))
  return {
    name,
    when: describeWhen(stored),
    task: enqueues?.workflow ?? enqueues?.job.task ?? null,
    queue: enqueues?.job.queue ?? null,
    overlap,
    owner: owner.kind === 'code' ? `code (${owner.scheduler})` : 'operator',
    edited: owner.kind === 'code' && owner.edited,
    declared: owner.kind === 'operator' || declarations.has(owner.scheduler, name),
    paused: paused === null ? null : { at: new Date(paused.at), note: paused.note },
    next: due === null ? null : new Date(due.tick.at),
    fired,
    last: stored.last.map((tick) => tickInfo(tick, states)),
    lagMs: due === null ? 0 : Math.max(0, now - due.at),
  }
}

function tickInfo(tick: FiredTick, states: ReadonlyMap<string, JobState>): TickInfo {
  const times = { plannedAt: new Date(tick.at), firedAt: new Date(tick.firedAt) }
  if (tick.job === null) return { ...times, job: null, state: 'called' }
  const known = states.get(tick.job)
  return { ...times, job: tick.job, state: known ?? (tick.skipped === true ? 'skipped' : 'gone') }
}

/** A rule that throws shows where it is fired. */
function dueOf(stored: StoredSchedule, own: Ticks | null): ReturnType<typeof nextDue> {
  try {
    const ticks = stored.when.kind === 'rule' ? own : ticksOf(stored.when)
    return ticks === null ? null : nextDue(stored, ticks)
  } catch {
    return null
  }
}

async function statesOf(
  store: Store,
  schedules: readonly StoredSchedule[],
): Promise<ReadonlyMap<string, JobState>> {
  const ids = schedules.flatMap(({ last }) => last.flatMap(({ job }) => job ?? []))
  const states = new Map<string, JobState>()
  for (let from = 0; from < ids.length; from += most) {
    const jobs = await answered(store.clock, store.get(ids.slice(from, from + most)))
    for (const job of jobs) if (job !== null) states.set(job.id, job.state)
  }
  return states
}
