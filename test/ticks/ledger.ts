/** Compares the jobs in a store with the ticks that its schedules had. */
import { readTick } from '../../src/app/new-job.ts'
import { listRecords } from '../../src/flows/schedules/records.ts'
import type { StoredSchedule } from '../../src/flows/schedules/stored.ts'
import { ticksOf } from '../../src/flows/schedules/ticks.ts'
import type { Store } from '../../src/store/store.ts'

export interface Ledger {
  readonly ticks: number
  readonly lateMs: { readonly p50: number; readonly p99: number; readonly max: number }
  /** What is wrong, in words. */
  readonly wrong: readonly string[]
}

/** From a tick's time to its job, its jitter and a moment on a busy machine included. */
const longestMs = 3_000

/** What each tick's job was, by schedule and planned time. */
type Found = Map<
  string,
  { readonly at: number; readonly state: string; readonly createdAt: number }[]
>

/** Every tick since `begun`, when all schedules were put, up to each cursor has exactly one job, and all have completed. */
export async function checkTicks(store: Store, begun: number): Promise<Ledger> {
  const wrong: string[] = []
  const found = await readJobs(store, wrong)
  const late: number[] = []
  for (const { name, stored } of await listRecords(store)) {
    if (stored === null) {
      wrong.push(`${name} cannot be read`)
      continue
    }
    const jobs = (found.get(name) ?? []).toSorted((a, b) => a.at - b.at)
    wrong.push(
      ...compare(
        stored,
        jobs.map(({ at }) => at),
        begun,
      ),
    )
    for (const { at, state, createdAt } of jobs) {
      if (state !== 'completed') wrong.push(`${name} at ${iso(at)} is ${state}`)
      late.push(createdAt - at)
    }
  }
  late.sort((a, b) => a - b)
  const at = (share: number): number => Math.round(late[Math.floor((late.length - 1) * share)] ?? 0)
  return { ticks: late.length, lateMs: { p50: at(0.5), p99: at(0.99), max: at(1) }, wrong }
}

function compare(schedule: StoredSchedule, times: readonly number[], begun: number): string[] {
  const { name, when, cursor, fired } = schedule
  const wrong: string[] = []
  if (when.kind === 'rule') return [`${name} has a rule`]
  const ticks = ticksOf(when)
  const due = ticks.after(begun)?.at ?? Infinity
  const [first = due] = times
  if (first > due) wrong.push(`${name} began at ${iso(first)}, not at ${iso(due)}`)
  if (isBehind(schedule, schedule.paused?.at ?? Infinity))
    wrong.push(`${name} stands still since ${iso(cursor.at)}`)
  const expected: number[] = []
  for (
    let tick = ticks.after(first - 1);
    tick !== null && tick.at <= cursor.at;
    tick = ticks.next(tick)
  )
    expected.push(tick.at)
  if (fired !== expected.length) wrong.push(`${name} counts ${fired} of ${expected.length} ticks`)
  const missing = expected.filter((at) => !times.includes(at))
  if (missing.length > 0) wrong.push(`${name} lost ${missing.map(iso).join(', ')}`)
  const extra = times.filter((at, n) => !expected.includes(at) || times.indexOf(at) !== n)
  if (extra.length > 0) wrong.push(`${name} doubled ${extra.map(iso).join(', ')}`)
  return wrong
}

/** Whether a tick is due for longer than it takes to fire it. */
export function isBehind({ when, cursor }: StoredSchedule, now: number): boolean {
  if (when.kind === 'rule') return false
  const { at, name } = cursor
  const next = name === null ? ticksOf(when).after(at) : ticksOf(when).next({ at, name })
  return next !== null && next.at + longestMs < now
}

async function readJobs(store: Store, wrong: string[]): Promise<Found> {
  const found: Found = new Map()
  for (let after: string | undefined; ;) {
    const page = await store.list({ limit: 1_000, ...(after === undefined ? {} : { after }) })
    for (const { id, state, createdAt, options } of page.jobs) {
      const tick = readTick(options)
      if (tick === undefined) wrong.push(`${id} is no tick`)
      else {
        const jobs = found.get(tick.schedule) ?? []
        found.set(tick.schedule, [...jobs, { at: tick.plannedAt, state, createdAt }])
      }
    }
    if (page.next === null) return found
    after = page.next
  }
}

function iso(ms: number): string {
  return Number.isFinite(ms) ? new Date(ms).toISOString() : 'never'
}
