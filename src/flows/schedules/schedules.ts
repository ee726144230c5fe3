/** What people and programs do with schedules: `errand.schedules`. */
import { newId } from '../../app/new-id.ts'
import { ErrandError, isErrandError } from '../../core/errors.ts'
import { errorText } from '../../core/kept-error.ts'
import { nearest } from '../../core/nearest.ts'
import { refuseUnknownKeys } from '../../core/option-keys.ts'
import { readText, refuseValue } from '../../core/read.ts'
import { cutText } from '../../core/text.ts'
import { answered } from '../../loops/call-deadline.ts'
import type { Store } from '../../store/store.ts'
import type { ScheduleBook } from './book.ts'
import { cancelOpen } from './cancel-open.ts'
import { readDeclarations } from './declarations.ts'
import { firstStored, laterOf, replaced, type Declared } from './declared.ts'
import { ticksOfRule } from './own-rule.ts'
import { announceChange, changeRecord, getRecords, listRecords, unreadable } from './records.ts'
import type { Schedule } from './schedule.ts'
import {
  scheduleKey,
  shownTicks,
  writeSchedule,
  type Owner,
  type StoredSchedule,
} from './stored.ts'
import { looksBack, makeTick, tickId, tickJobs } from './tick-job.ts'
import { ticksOf, type Tick, type Ticks } from './ticks.ts'
import { describe, describeAll, storeNow, type ScheduleInfo } from './info.ts'

export interface NextOptions {
  /** Default: now. */
  readonly from?: Date
  /** Default 1, at most 1,000. */
  readonly count?: number
}

export interface Schedules {
  /** All schedules of the store, by name. */
  list(): Promise<readonly ScheduleInfo[]>
  /** One of them. Rejects with `unknown-schedule`. */
  get(name: string): Promise<ScheduleInfo>
  /** Its planned times after `from`; also of a schedule of this app's code that no worker has put yet. */
  next(name: string, options?: NextOptions): Promise<readonly Date[]>
  /**
   * Puts a schedule of an operator, or an operator's edit of one of the code, which holds until the
   * code changes. It goes on where it was; a new one, or one with other times, begins now.
   */
  put(schedule: Schedule): Promise<ScheduleInfo>
  /** Keeps it from firing. `note` is shown. */
  pause(name: string, note?: string): Promise<void>
  /** Lets it fire again, from now on: what it missed while it was paused is not made up. */
  resume(name: string): Promise<void>
  /** Fires it once, now, beside its ticks. Returns the id of the job; with an `overlap` that leaves it out, that of the job in its way. */
  trigger(name: string): Promise<string>
  /** Enqueues the jobs of all ticks from `from` to `to` that have none in the store, at most 1,000; one after the other, unless they may overlap. Returns their ids. */
  backfill(
    name: string,
    range: { readonly from: Date; readonly to: Date },
  ): Promise<readonly string[]>
  /** Removes it; not while living code declares it. */
  remove(name: string): Promise<void>
}

const most = 1_000
const longestNote = 500

/** Makes a public call; refuses it once the app is closed. */
type Call = <T>(make: (store: Store) => Promise<T>) => Promise<T>

export function createSchedules(book: ScheduleBook, call: Call): Schedules {
  const change = (name: string, make: (stored: StoredSchedule, now: number) => StoredSchedule) =>
    call(async (store) => {
      readText(name, 'The name of a schedule')
      const now = await storeNow(store)
      const { changed, stored } = await changeRecord(store, name, (found) =>
        found === null ? null : make(found, now),
      )
      if (stored === null) throw await unknown(store, name)
      if (changed) await announceChange(store, newId())
    })

  return {
    list: () =>
      call(async (store) => {
        const records = await listRecords(store)
        return describeAll(
          store,
          book,
          records.flatMap(({ stored }) => stored ?? []),
        )
      }),

    get: (name) => call(async (store) => describe(store, book, await find(store, name))),

    next: (name, options = {}) =>
      call(async (store) => {
        refuseUnknownKeys(options, ['from', 'count'], 'schedules.next()')
        const { from = new Date(await storeNow(store)), count = 1 } = options
        readTime(from, 'schedules.next().from')
        if (!(Number.isInteger(count) && count >= 1 && count <= most))
          refuseValue('schedules.next().count', `a whole number from 1 to ${most}`, count)
        const plan = await planOf(store, book, name)
        try {
          return nextTimes(plan, from.getTime(), count)
        } catch (error) {
          if (isErrandError(error)) throw error
          const message = `at of schedule ${name} threw ${errorText(error)}`
          throw new ErrandError('invalid-option', message, { cause: error })
        }
      }),

    put: (schedule) =>
      call(async (store) => {
        const declared = await book.read(schedule)
        const now = await storeNow(store)
        const { stored } = await changeRecord(store, declared.name, (found) =>
          put(found, declared, now),
        )
        await announceChange(store, newId())
        if (stored === null) throw await unknown(store, declared.name)
        return describe(store, book, stored)
      }),

    pause: (name, note = '') =>
      change(name, (stored, now) => ({
        ...stored,
        paused: { at: now, by: 'operator', note: cutText(note, longestNote) },
      })),

    resume: (name) =>
      change(name, (stored, now) =>
        stored.paused === null
          ? stored
          : { ...stored, paused: null, open: [], cursor: laterOf(stored.cursor, now) },
      ),

    trigger: (name) =>
      call(async (store) => {
        const { id } = await trigger(store, name)
        return id
      }),

    backfill: (name, range) =>
      call(async (store) => {
        readTime(range?.from, 'schedules.backfill().from')
        readTime(range?.to, 'schedules.backfill().to')
        return backfill(store, await find(store, name), await planOf(store, book, name), range)
      }),

    remove: (name) =>
      call(async (store) => {
        const found = await find(store, name)
        const declarations = await readDeclarations(store, await storeNow(store))
        if (found.owner.kind === 'code' && declarations.has(found.owner.scheduler, name))
          throw new ErrandError(
            'invalid-option',
            `schedule ${name} is declared by code that runs now, which would put it again: take it out of the code, or pause it.`,
          )
        await changeRecord(store, name, (stored) => (stored === null ? null : 'remove'))
        await announceChange(store, newId())
      }),
  }
}

function put(found: StoredSchedule | null, declared: Declared, now: number): StoredSchedule {
  if (found === null) return firstStored(declared.says, { kind: 'operator' }, now)
  const owner: Owner = found.owner.kind === 'code' ? { ...found.owner, edited: true } : found.owner
  return replaced(found, declared.says, owner, now)
}

async function find(store: Store, name: string): Promise<StoredSchedule> {
  readText(name, 'The name of a schedule')
  const [record = null] = await getRecords(store, [name])
  if (record === null) throw await unknown(store, name)
  if (record.stored === null) throw unreadable(name)
  return record.stored
}

async function unknown(store: Store, name: string): Promise<ErrandError> {
  const names = (await listRecords(store)).map((record) => record.name)
  const meant = nearest(name, names)
  const hint =
    meant !== null
      ? `Did you mean ${meant}?`
      : names.length === 0
        ? 'There are none: a worker puts those of its code when it starts.'
        : `There are ${names.slice(0, 10).join(', ')}${names.length > 10 ? ', …' : ''}.`
  return new ErrandError('unknown-schedule', `No schedule is called ${name}. ${hint}`, {
    details: { schedule: name },
  })
}

/** What says when ticks are: a stored schedule, or one of the code that was not put yet. */
interface Plan {
  readonly ticks: Ticks
  readonly startMs: number | null
  readonly endMs: number | null
}

async function planOf(store: Store, book: ScheduleBook, name: string): Promise<Plan> {
  const declared = (await book.declared()).get(name)
  const [record = null] = await getRecords(store, [name])
  const says = record?.stored ?? declared?.says
  if (says === undefined) throw await unknown(store, name)
  const { when, startMs, endMs } = says
  if (when.kind !== 'rule') return { ticks: ticksOf(when), startMs, endMs }
  const rule = declared?.rule ?? null
  if (rule === null)
    throw new ErrandError(
      'invalid-option',
      `schedule ${name} has a function as at, which only its own code can ask: use the configuration that declares it.`,
    )
  return { ticks: ticksOfRule(rule, name), startMs, endMs }
}

function nextTimes({ ticks, startMs, endMs }: Plan, from: number, count: number): readonly Date[] {
  const times: Date[] = []
  const last = endMs ?? Infinity
  let tick = ticks.after(Math.max(from, (startMs ?? 0) - 1))
  for (; tick !== null && tick.at <= last && times.length < count; tick = ticks.next(tick))
    times.push(new Date(tick.at))
  return times
}

/** Fires a schedule by hand: the same step as a tick, but its cursor stays. */
async function trigger(store: Store, name: string): Promise<{ readonly id: string }> {
  for (let tries = 0; tries < 20; tries += 1) {
    const [record = null] = await getRecords(store, [name])
    if (record === null) throw await unknown(store, name)
    const { stored, text } = record
    if (stored === null) throw unreadable(name)
    if (stored.enqueues === null)
      throw new ErrandError(
        'invalid-option',
        `schedule ${name} calls a function, which only a worker of its code does, at its ticks.`,
      )
    const now = await storeNow(store)
    const open = looksBack(stored) ? await openOf(store, stored.open) : []
    const tick = { at: now, name: `${new Date(now).toISOString()}#${newId()}` }
    const { made, open: left } = tickJobs({ ...stored, jitterMs: 0 }, stored.enqueues, [tick], open)
    const [first] = made
    const inTheWay = open.at(-1)
    if (first === undefined && stored.enqueues.workflow !== undefined && inTheWay !== undefined)
      return { id: inTheWay }
    if (first === undefined)
      throw new ErrandError('overloaded', `100 jobs of schedule ${name} wait already.`)
    if (stored.overlap === 'cancel' && open.length > 0) await cancelOpen(store, stored, open)
    const fired = { ...tick, firedAt: now, job: first.id }
    const to = writeSchedule({
      ...stored,
      open: left,
      last: [...stored.last, fired].slice(-shownTicks),
    })
    const advance = [
      { key: scheduleKey(name), from: text, to, jobs: first.jobs.map(({ id }) => id) },
    ]
    const answers = await answered(store.clock, store.insert(first.jobs, { advance }), {
      code: 'unknown-outcome',
    })
    const answer = answers.at(-1)
    if (answer !== undefined && answer.status !== 'stale' && answer.status !== 'held') return answer
  }
  throw new ErrandError('store-busy', `schedule ${name} is changed by others all the time.`)
}

async function openOf(store: Store, ids: readonly string[]): Promise<readonly string[]> {
  const jobs = await answered(store.clock, store.get(ids))
  return jobs.flatMap((job) => (job === null || job.finishedAt !== null ? [] : job.id))
}

async function backfill(
  store: Store,
  stored: StoredSchedule,
  plan: Plan,
  { from, to }: { readonly from: Date; readonly to: Date },
): Promise<readonly string[]> {
  const { name, enqueues: template } = stored
  if (template === null)
    throw new ErrandError('invalid-option', `schedule ${name} calls a function, not a task.`)
  const ticks: Tick[] = []
  let tick = plan.ticks.after(from.getTime() - 1)
  for (; tick !== null && tick.at <= to.getTime(); tick = plan.ticks.next(tick)) {
    if (ticks.length === most)
      throw new ErrandError(
        'overloaded',
        `schedule ${name} has more than ${most} ticks in that time: backfill in shorter stretches.`,
      )
    ticks.push(tick)
  }
  if (ticks.length === 0) return []
  // Each tick's id is the one that it would have had, so what is there already is not made again.
  const chained = stored.overlap === 'allow' ? [] : ticks
  const made = ticks.map((one, n) => {
    const before = n === 0 ? undefined : chained[n - 1]
    const needs =
      before === undefined
        ? []
        : [{ kind: 'job', id: tickId(name, before), onFailed: 'run' } as const]
    return makeTick({ ...stored, overlap: 'allow' }, template, one, needs)
  })
  const known = await answered(store.clock, store.get(made.map(({ id }) => id)))
  const missing = made.filter((_, n) => known[n] === null)
  const jobs = missing.flatMap((one) => one.jobs)
  // One record for all, so that on Redis they lie in one place with those that they need.
  const advance = [
    { key: `backfill:${name}`, from: null, to: null, jobs: jobs.map(({ id }) => id) },
  ]
  const options = jobs.length === 0 ? {} : { advance }
  await answered(store.clock, store.insert(jobs, options), { code: 'unknown-outcome' })
  return missing.map(({ id }) => id)
}

function readTime(date: unknown, where: string): void {
  if (!(date instanceof Date && Number.isFinite(date.getTime())))
    refuseValue(where, 'a valid Date', date)
}
