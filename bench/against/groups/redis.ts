/** Errand on Redis beside BullMQ. */
import { ways, type Way } from '../part.ts'
import { drained, enqueued, pickedUp, raw, type Piece } from '../pieces.ts'
import { compared, quotient, type ComparedRow, type Group } from '../group.ts'
import type { Setup } from '../side.ts'
import type { OpenPlace } from '../stage.ts'
import type { Runs } from '../../row.ts'
import type { Measured } from '../../workload.ts'
import {
  bulkVerbs,
  errandBest,
  errandDefault,
  fleet,
  idle,
  largeInputs,
  million,
  queuesUsedOnce,
  schedules,
} from './errand-alone.ts'
import { chain, children, followUps, needs } from './linked-jobs.ts'
import { largeRuns } from './large-runs.ts'
import { pickUps, type Sizer } from './sizes.ts'

const bull: Omit<Setup, 'url'> = {
  side: 'bullmq',
  tuning: 'best',
  history: 'kept',
  purpose: 'throughput',
}

/** `synced` keeps an append-only file, synced each second; `bare` keeps nothing. */
export interface RedisPlaces {
  readonly synced: OpenPlace
  readonly bare: OpenPlace
}

export function redisGroups({ synced, bare }: RedisPlaces, sized: Sizer): readonly Group[] {
  return [
    enqueue('enqueue', 'Enqueue', { synced, bare }, ways, sized),
    drain({ synced, bare }, sized),
    enqueue('enqueue-bare', 'Enqueue, no append-only file', { bare }, ['hundred'], sized),
    bareDrain(bare, sized),
    isolation(synced, sized),
    fleet(synced, sized, {
      name: 'bullmq',
      side: { ...bull, history: 'none' },
      jobs: drainJobs.bull,
    }),
    pickUp(synced, sized),
    million(synced, sized, { bullmq: bull }),
    needs(synced, sized),
    followUps(synced, sized),
    chain(synced, sized),
    children(synced, sized, { name: 'bullmq', side: bull }),
    queuesUsedOnce(synced, sized),
    schedules(synced, sized),
    largeRuns(synced, sized),
    largeInputs(synced, sized),
    bulkVerbs(synced, sized),
    idle(synced),
  ]
}

/** What a group needs: where the sides are measured, if not where the raw engine is. */
type Where = Pick<RedisPlaces, 'bare'> & Partial<RedisPlaces>

const rawNote =
  'baseline.md has the raw engine without an append-only file only, so that it is measured without one here too.'

/** baseline.md, with and without an append-only file. */
const inserts: Readonly<
  Record<Way, { raw: string; rawRate: number; synced: number; bare: number }>
> = {
  one: { raw: 'raw-insert', rawRate: 19_882, synced: 7_069, bare: 10_701 },
  hundred: { raw: 'raw-insert-100', rawRate: 74_320, synced: 18_236, bare: 25_884 },
  many: { raw: 'raw-insert-many', rawRate: 117_246, synced: 12_526, bare: 15_813 },
}
const enqueueRows: Readonly<Record<Way, { what: string; least: number }>> = {
  one: { what: 'enqueue, one awaited at a time', least: 1.2 },
  hundred: { what: 'enqueue, 100 in flight', least: 2 },
  many: { what: 'enqueueMany, 1,000 a call', least: 4 },
}
const enqueueSizes: Readonly<Record<Way, readonly [raw: number, errand: number, bull: number]>> = {
  one: [40_000, 30_000, 20_000],
  hundred: [150_000, 120_000, 50_000],
  many: [250_000, 300_000, 40_000],
}
const rawInserts = {
  one: 'redis-insert',
  hundred: 'redis-insert-100',
  many: 'redis-insert-many',
} as const

function enqueue(
  name: string,
  title: string,
  { synced, bare }: Where,
  chosen: readonly Way[],
  sized: Sizer,
): Group {
  const open = synced ?? bare
  const pieces: Record<string, Piece> = {}
  for (const way of chosen) {
    const [rawJobs, errandJobs, bullJobs] = enqueueSizes[way]
    pieces[inserts[way].raw] = raw(bare, rawInserts[way], sized(rawJobs))
    pieces[`errand-${way}`] = enqueued(open, errandDefault, way, sized(errandJobs))
    pieces[`bullmq-${way}`] = enqueued(open, bull, way, sized(bullJobs))
  }
  return {
    name,
    title,
    note: rawNote,
    pieces,
    shares: chosen.map((way) => {
      const { raw, rawRate, synced: withFile, bare: without } = inserts[way]
      return {
        piece: `bullmq-${way}`,
        raw,
        before: (synced === undefined ? without : withFile) / rawRate,
      }
    }),
    rows: (measured) =>
      chosen.map((way) => {
        const [ours, theirs] = [
          measured(`errand-${way}`, 'rate'),
          measured(`bullmq-${way}`, 'rate'),
        ]
        const { what, least } = enqueueRows[way]
        return compared(what, 'jobs/s', { byDefault: ours, peers: { bullmq: theirs } }, [
          quotient('× BullMQ', [ours, theirs], { least }),
        ])
      }),
  }
}

const drainJobs = { errand: 200_000, bull: 30_000, raw: 150_000 } as const
const drainNote = `From the first start of a handler to the last. ${rawNote}`

function drain({ synced, bare }: RedisPlaces, sized: Sizer): Group {
  const [jobs, bullJobs] = [sized(drainJobs.errand), sized(drainJobs.bull)]
  return {
    name: 'drain',
    title: 'Drain, one worker process',
    note: drainNote,
    pieces: {
      'raw-1': raw(bare, 'redis-drain-1', sized(drainJobs.raw)),
      'raw-4': raw(bare, 'redis-drain-4', sized(2 * drainJobs.raw)),
      best: drained(synced, errandBest, jobs),
      bullmq: drained(synced, bull, bullJobs),
      default: drained(synced, errandDefault, jobs),
      'best-none': drained(synced, { ...errandBest, history: 'none' }, jobs),
      'bullmq-none': drained(synced, { ...bull, history: 'none' }, bullJobs),
      'default-none': drained(synced, { ...errandDefault, history: 'none' }, jobs),
    },
    shares: [{ piece: 'bullmq-none', raw: 'raw-1', before: 7_802 / 70_257 }],
    rows: (measured) => {
      const bytes = (piece: string): Runs => measured(piece, 'enqueued bytes')
      const cost = (what: string, figure: string): ComparedRow =>
        compared(what, 'µs', {
          best: measured('best', figure),
          byDefault: measured('default', figure),
          peers: { bullmq: measured('bullmq', figure) },
        })
      return [
        drainRow('drain, results and history kept', '', measured),
        drainRow('drain, `retention: none`', '-none', measured),
        cost('CPU of the worker per job drained', 'worker cpu'),
        cost('CPU of the server per job drained', 'drained cpu'),
        compared(
          'memory per waiting job',
          'bytes',
          { best: bytes('best'), byDefault: bytes('default'), peers: { bullmq: bytes('bullmq') } },
          [quotient('× BullMQ', [bytes('best'), bytes('bullmq')], { most: 0.6 })],
        ),
      ]
    },
  }
}

/** The raw engine, Errand and BullMQ on the same server without persistence. */
function bareDrain(bare: OpenPlace, sized: Sizer): Group {
  return {
    name: 'drain-bare',
    title: 'Drain, one worker process, no append-only file',
    note: drainNote,
    pieces: {
      'raw-1': raw(bare, 'redis-drain-1', sized(drainJobs.raw)),
      best: drained(bare, errandBest, sized(drainJobs.errand)),
      'bullmq-none': drained(bare, { ...bull, history: 'none' }, sized(drainJobs.bull)),
    },
    shares: [{ piece: 'bullmq-none', raw: 'raw-1', before: 12_382 / 70_257 }],
    rows: (measured) => {
      const [ours, theirs] = [measured('best', 'rate'), measured('bullmq-none', 'rate')]
      return [
        compared(
          'drain, history kept by Errand only',
          'jobs/s',
          { best: ours, peers: { bullmq: theirs } },
          [quotient('× BullMQ', [ours, theirs], { least: 5 })],
        ),
      ]
    },
  }
}

/** Errand's threads and processes beside BullMQ's sandboxed processors. */
function isolation(open: OpenPlace, sized: Sizer): Group {
  const [jobs, bullJobs] = [sized(20_000), sized(5_000)]
  const pieces: Record<string, Piece> = {}
  for (const isolate of ['thread', 'process'] as const) {
    pieces[`errand-${isolate}`] = drained(open, { ...errandDefault, isolate }, jobs)
    pieces[`bullmq-${isolate}`] = drained(open, { ...bull, isolate }, bullJobs)
  }
  return {
    name: 'isolation',
    title: 'Drain by threads and by processes, four jobs at a time',
    note: 'From the first end of a handler to the last.',
    pieces,
    shares: [],
    rows: (measured) =>
      (['thread', 'process'] as const).map((isolate) => {
        const ours = measured(`errand-${isolate}`, 'rate')
        const theirs = measured(`bullmq-${isolate}`, 'rate')
        const what = isolate === 'thread' ? 'in threads' : 'in processes'
        return compared(`drain ${what}`, 'jobs/s', { byDefault: ours, peers: { bullmq: theirs } }, [
          quotient('× BullMQ', [ours, theirs], { least: 3 }),
        ])
      }),
  }
}

function drainRow(what: string, suffix: '' | '-none', measured: Measured): ComparedRow {
  const rate = (piece: string): Runs => measured(`${piece}${suffix}`, 'rate')
  return compared(
    what,
    'jobs/s',
    { best: rate('best'), byDefault: rate('default'), peers: { bullmq: rate('bullmq') } },
    [
      quotient('× BullMQ', [rate('best'), rate('bullmq')], { least: 5 }),
      quotient('default / best', [rate('default'), rate('best')], { least: 0.7 }),
    ],
  )
}

function pickUp(open: OpenPlace, sized: Sizer): Group {
  const jobs = sized(pickUps)
  return {
    name: 'pick-up',
    title: 'Pick-up by an idle worker, one job each 10 ms',
    note: 'From just before the call that enqueues, in another process, to the start of the handler.',
    pieces: {
      errand: pickedUp(open, { ...errandDefault, purpose: 'latency' }, jobs),
      bullmq: pickedUp(open, { ...bull, purpose: 'latency' }, jobs),
    },
    shares: [],
    rows: (measured) =>
      (['p50', 'p99', 'worst'] as const).map((figure) => {
        const [ours, theirs] = [measured('errand', figure), measured('bullmq', figure)]
        return compared(figure, 'ms', { byDefault: ours, peers: { bullmq: theirs } }, [
          quotient('× BullMQ', [ours, theirs], figure === 'worst' ? {} : { most: 1 }),
        ])
      }),
  }
}
