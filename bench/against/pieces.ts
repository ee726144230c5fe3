/** The measurements: each opens a place of its own, sends processes there, and answers figures. */
import { Ledger } from '../kit/ledger.ts'
import { percentile } from '../kit/numbers.ts'
import type { Peer } from '../kit/peer.ts'
import { ticks } from '../kit/ticks.ts'
import type { Figures } from '../workload.ts'
import { endAll, played, start, type Drained, type Way } from './part.ts'
import type { RawCycle } from './raw/index.ts'
import type { Seen, Setup } from './side.ts'
import type { OpenPlace, Place } from './stage.ts'

export type Piece = () => Promise<Figures>
type Unplaced = Omit<Setup, 'url'>

/** A cycle of the raw engine. */
export function raw(open: OpenPlace, cycle: RawCycle, jobs: number): Piece {
  return () => at(open, ({ url }) => played<Figures>({ role: 'raw', cycle, url, jobs }))
}

/** Jobs per second enqueued. */
export function enqueued(open: OpenPlace, side: Unplaced, way: Way, jobs: number): Piece {
  return () =>
    at(open, ({ url }) => played<Figures>({ role: 'enqueue', setup: { ...side, url }, way, jobs }))
}

/**
 * Jobs per second from the first start to the last, and what each job cost the server. All of them ran once, and left what they should.
 */
export function drained(open: OpenPlace, side: Unplaced, jobs: number, processes = 1): Piece {
  return () =>
    at(open, async (place) => {
      const setup = { ...side, url: place.url }
      const filling = await filled(place, setup, jobs)
      const before = await place.count()
      const { ledger, cpu } = await drainBy(setup, jobs, jobs, processes)
      const after = await place.count()
      ledger.check()
      await played({ role: 'check', setup, jobs })
      const starts = ledger.startedAt.toSorted()
      return {
        rate: (jobs / between(starts, 0, jobs - 1)) * 1_000,
        ...filling,
        'worker cpu': cpu / jobs,
        ...perJob('drained', before, after, jobs),
      }
    })
}

/**
 * Several worker processes drain one store. `rate` counts from the first start to the last end that
 * can be seen; `rate with start` from the word to start the workers.
 */
export function drainedByFleet(
  open: OpenPlace,
  side: Unplaced,
  jobs: number,
  processes: number,
): Piece {
  return () =>
    at(open, async (place) => {
      const setup = { ...side, url: place.url }
      await filled(place, setup, jobs)
      const before = await place.count()
      const { ledger, cpu, sentAt, seen } = await drainBy(setup, jobs, jobs, processes)
      const after = await place.count()
      ledger.check()
      await played({ role: 'check', setup, jobs })
      const starts = ledger.startedAt.toSorted()
      const [first = NaN, last = NaN] = [starts[0], starts[jobs - 1]]
      const endedAt = Math.max(last, ...seen.map(({ settledAt }) => settledAt))
      const calls = (verb: 'claims' | 'settles'): number =>
        seen.reduce((sum, one) => sum + one[verb], 0)
      return {
        rate: (jobs / (endedAt - first)) * 1_000,
        'rate with start': (jobs / (endedAt - sentAt)) * 1_000,
        'first start': first - sentAt,
        ...(seen.length === 0
          ? {}
          : { 'jobs a claim': jobs / calls('claims'), 'jobs a settle': jobs / calls('settles') }),
        'worker cpu': cpu / jobs,
        ...perJob('drained', before, after, jobs),
      }
    })
}

/** Jobs per second from the head of a long line: from the 10,000th start to the last one counted. */
export function drainedPart(open: OpenPlace, side: Unplaced, jobs: number, part: number): Piece {
  return () =>
    at(open, async (place) => {
      const setup = { ...side, url: place.url }
      await filled(place, setup, jobs)
      const { ledger } = await drainBy(setup, jobs, part, 1)
      if (ledger.runs.some((runs) => runs > 1)) throw new Error('a job ran twice')
      return { rate: rateAtHead(ledger, part) }
    })
}

/** Errand among a million: the drain of the line's head and of all of it, then claims among as many finished and scheduled jobs. */
export function amongMany(
  open: OpenPlace,
  side: Unplaced,
  jobs: number,
  part: number,
  claims: number,
): Piece {
  return () =>
    at(open, async (place) => {
      const setup = { ...side, url: place.url }
      await filled(place, setup, jobs)
      const { ledger } = await drainBy(setup, jobs, jobs, 1)
      ledger.check()
      await played({ role: 'check', setup, jobs })
      await played({ role: 'schedule', setup, jobs })
      await place.settle()
      const claimed = await played<Figures>({ role: 'claims', setup, jobs: claims })
      return { rate: rateAtHead(ledger, part), jobs, ...claimed }
    })
}

/** Errand with few jobs waiting, several times over. */
export function drainedFew(open: OpenPlace, side: Unplaced, jobs: number): Piece {
  return () =>
    at(open, ({ url }) => played<Figures>({ role: 'drain-rounds', setup: { ...side, url }, jobs }))
}

/** Claims of Errand in an empty store. */
export function claimed(open: OpenPlace, side: Unplaced, claims: number): Piece {
  return () =>
    at(open, ({ url }) =>
      played<Figures>({ role: 'claims', setup: { ...side, url }, jobs: claims }),
    )
}

const pickUpsToWarmUp = 50

/** Milliseconds from just before the call that enqueues, in another process, to the start of the handler. */
export function pickedUp(open: OpenPlace, side: Unplaced, jobs: number): Piece {
  return () =>
    at(open, async ({ url }) => {
      const setup = { ...side, url }
      const worker = start({ role: 'drain', setup, jobs })
      await worker.next()
      worker.send('start')
      const sentAt = await played<readonly number[]>({ role: 'produce', setup, jobs })
      await ranBy([worker], jobs)
      worker.send('stop')
      const ledger = new Ledger(jobs)
      const { runs, startedAt } = await lastWord(worker)
      ledger.merge(runs)
      ledger.check()
      await played({ role: 'check', setup, jobs })
      const ms = sentAt.map((at, id) => (startedAt[id] ?? NaN) - at).slice(pickUpsToWarmUp)
      return { p50: percentile(ms, 0.5), p99: percentile(ms, 0.99), worst: Math.max(...ms) }
    })
}

/** An idle worker of Errand with fifty queues. */
export function idled(open: OpenPlace, side: Unplaced): Piece {
  return () =>
    at(open, ({ url }) => played<Figures>({ role: 'idle', setup: { ...side, url }, jobs: 0 }))
}

/** Errand alone, before and after one job in each of so many queues. */
export function usedQueuesOnce(open: OpenPlace, side: Unplaced, queues: number): Piece {
  return () =>
    at(open, ({ url }) =>
      played<Figures>({ role: 'use-queues-once', setup: { ...side, url }, jobs: queues }),
    )
}

/** Errand alone with so many schedules that are due at once. */
export function firedSchedules(open: OpenPlace, side: Unplaced, schedules: number): Piece {
  return () =>
    at(open, ({ url }) =>
      played<Figures>({ role: 'fire-schedules', setup: { ...side, url }, jobs: schedules }),
    )
}

/** Errand alone, from ticks to their handlers. */
export function firedInTurn(open: OpenPlace, side: Unplaced): Piece {
  return () =>
    at(open, ({ url }) =>
      played<Figures>({ role: 'fire-in-turn', setup: { ...side, url }, jobs: 0 }),
    )
}

/** Errand alone draining large inputs that another process enqueued. */
export function drainedLarge(open: OpenPlace, side: Unplaced, jobs: number): Piece {
  return () =>
    at(open, async ({ url }) => {
      const setup = { ...side, url }
      await played({ role: 'fill-large', setup, jobs })
      return played<Figures>({ role: 'drain-large', setup, jobs })
    })
}

/** Drains with and without jobs that need others, in turn, on Errand alone. */
export function drainedNeeds(open: OpenPlace, side: Unplaced, jobs: number): Piece {
  return () =>
    at(open, ({ url }) => played<Figures>({ role: 'needs', setup: { ...side, url }, jobs }))
}

/** Drains of jobs without and with a follow-up each, in turn, on Errand alone. */
export function drainedFollowUps(open: OpenPlace, side: Unplaced, jobs: number): Piece {
  return () =>
    at(open, ({ url }) => played<Figures>({ role: 'follow-ups', setup: { ...side, url }, jobs }))
}

/** A chain of jobs that need each other, on Errand alone. */
export function chained(open: OpenPlace, side: Unplaced, links: number): Piece {
  return () =>
    at(open, ({ url }) => played<Figures>({ role: 'chain', setup: { ...side, url }, jobs: links }))
}

/** Parents that need many children. */
export function raised(open: OpenPlace, side: Unplaced, count: number): Piece {
  return () =>
    at(open, ({ url }) =>
      played<Figures>({ role: 'children', setup: { ...side, url }, jobs: count }),
    )
}

/** A run of so many jobs, on Errand alone. */
export function ranLarge(
  open: OpenPlace,
  side: Unplaced,
  role: 'large-batch' | 'fan-in',
  jobs: number,
): Piece {
  return () => at(open, ({ url }) => played<Figures>({ role, setup: { ...side, url }, jobs }))
}

/** The verbs of operators, on Errand alone. */
export function calledVerbs(open: OpenPlace, side: Unplaced, jobs: number): Piece {
  return () =>
    at(open, ({ url }) => played<Figures>({ role: 'verbs', setup: { ...side, url }, jobs }))
}

async function at(open: OpenPlace, measure: (place: Place) => Promise<Figures>): Promise<Figures> {
  const place = await open()
  try {
    return await measure(place)
  } finally {
    endAll()
    await place.close()
  }
}

/** Fills a place with waiting jobs, and tells what each cost the server. */
async function filled(place: Place, setup: Setup, jobs: number): Promise<Figures> {
  const filler = start({ role: 'fill', setup, jobs })
  await filler.next()
  const empty = await place.weigh()
  filler.send('go')
  await filler.ended()
  const full = await place.weigh()
  await place.settle()
  return perJob('enqueued', empty, full, jobs)
}

interface Drain {
  readonly ledger: Ledger
  /** Microseconds of all processes. */
  readonly cpu: number
  /** When they were told to start. */
  readonly sentAt: number
  /** What could be seen of each, if anything. */
  readonly seen: readonly NonNullable<Seen>[]
}

/** Lets processes drain until so many jobs ran; each reports as it goes. */
async function drainBy(
  setup: Setup,
  jobs: number,
  part: number,
  processes: number,
): Promise<Drain> {
  const workers = Array.from({ length: processes }, () => start({ role: 'drain', setup, jobs }))
  for (const worker of workers) await worker.next()
  const sentAt = ticks()
  for (const worker of workers) worker.send('start')
  await ranBy(workers, part)
  for (const worker of workers) worker.send('stop')
  const ledger = new Ledger(jobs)
  let usedCpu = 0
  const allSeen: NonNullable<Seen>[] = []
  for (const { runs, startedAt, seen, cpu } of await Promise.all(workers.map(lastWord))) {
    usedCpu += cpu
    if (seen !== null) allSeen.push(seen)
    ledger.merge(runs)
    for (let id = 0; id < jobs; id++) {
      const at = startedAt[id] ?? NaN
      if (!Number.isNaN(at)) ledger.startedAt[id] = at
    }
  }
  return { ledger, cpu: usedCpu, sentAt, seen: allSeen }
}

async function ranBy(workers: readonly Peer[], jobs: number): Promise<void> {
  const ran = workers.map(() => 0)
  const isDone = (): boolean => ran.reduce((sum, count) => sum + count, 0) >= jobs
  const listening = workers.map(async (worker, i) => {
    while (!isDone()) ran[i] = await worker.next<number>()
  })
  await Promise.all(listening)
}

/** What a worker tells at its end, after its last reports. */
async function lastWord(worker: Peer): Promise<Drained> {
  for (;;) {
    const word = await worker.next<number | Drained>()
    if (typeof word === 'number') continue
    await worker.ended()
    return word
  }
}

function rateAtHead({ startedAt }: Ledger, part: number): number {
  const warmUp = Math.min(10_000, part / 2)
  // Jobs that did not run are NaN, which sorts last.
  return ((part - 1 - warmUp) / between(startedAt.toSorted(), warmUp, part - 1)) * 1_000
}

function between(starts: Float64Array, first: number, last: number): number {
  return (starts[last] ?? NaN) - (starts[first] ?? NaN)
}

/** What grew, as `drained wal` and the like. */
function perJob(
  when: 'enqueued' | 'drained',
  before: Figures,
  after: Figures,
  jobs: number,
): Figures {
  const grown = Object.entries(after).map(([name, value]) => [
    `${when} ${name}`,
    (value - (before[name] ?? NaN)) / jobs,
  ])
  return Object.fromEntries(grown) as Figures
}
