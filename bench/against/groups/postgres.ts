/** Errand on PostgreSQL beside graphile-worker and pg-boss. */
import { ways, type Way } from '../part.ts'
import { drained, enqueued, pickedUp, raw } from '../pieces.ts'
import { compared, quotient, type Group } from '../group.ts'
import type { Setup } from '../side.ts'
import type { OpenPlace } from '../stage.ts'
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

const graphile: Omit<Setup, 'url'> = {
  side: 'graphile-worker',
  tuning: 'best',
  history: 'none',
  purpose: 'throughput',
}
const boss: Omit<Setup, 'url'> = { ...graphile, side: 'pg-boss', history: 'kept' }

export function postgresGroups(open: OpenPlace, sized: Sizer): readonly Group[] {
  return [
    enqueue(open, sized),
    drain(open, sized),
    fleet(open, sized, { name: 'graphile-worker', side: graphile, jobs: 100_000 }),
    pickUp(open, sized),
    million(open, sized, { 'graphile-worker': graphile, 'pg-boss': boss }),
    needs(open, sized),
    followUps(open, sized),
    chain(open, sized),
    children(open, sized, null),
    queuesUsedOnce(open, sized),
    schedules(open, sized),
    largeRuns(open, sized),
    largeInputs(open, sized),
    bulkVerbs(open, sized),
    idle(open),
  ]
}

/** baseline.md: 5,685 single inserts, 100,574 rows in JSON arrays of 1,000. */
const sharesOfInserts: Readonly<Record<Way, { raw: string; graphile: number; boss: number }>> = {
  one: { raw: 'raw-insert', graphile: 527 / 5_685, boss: 795 / 5_685 },
  hundred: { raw: 'raw-insert', graphile: 858 / 5_685, boss: 1_439 / 5_685 },
  many: { raw: 'raw-insert-many', graphile: 24_043 / 100_574, boss: 24_237 / 100_574 },
}
const enqueueRows: Readonly<Record<Way, { what: string; least: number; leastOfBoss?: number }>> = {
  one: { what: 'enqueue, one awaited at a time', least: 4, leastOfBoss: 4 },
  hundred: { what: 'enqueue, 100 in flight', least: 20, leastOfBoss: 20 },
  many: { what: 'enqueueMany, 1,000 a call', least: 2 },
}
const enqueueSizes: Readonly<
  Record<Way, readonly [errand: number, graphile: number, boss: number]>
> = {
  one: [10_000, 2_000, 2_000],
  hundred: [80_000, 3_000, 4_000],
  many: [150_000, 60_000, 60_000],
}

function enqueue(open: OpenPlace, sized: Sizer): Group {
  const pieces = ways.map((way) => {
    const [errandJobs, graphileJobs, bossJobs] = enqueueSizes[way]
    return {
      [`errand-${way}`]: enqueued(open, errandDefault, way, sized(errandJobs)),
      [`graphile-worker-${way}`]: enqueued(open, graphile, way, sized(graphileJobs)),
      [`pg-boss-${way}`]: enqueued(open, boss, way, sized(bossJobs)),
    }
  })
  return {
    name: 'enqueue',
    title: 'Enqueue',
    pieces: {
      'raw-insert': raw(open, 'postgres-insert', sized(10_000)),
      'raw-insert-many': raw(open, 'postgres-insert-many', sized(200_000)),
      ...Object.assign({}, ...pieces),
    },
    shares: ways.flatMap((way) => {
      const { raw, graphile, boss } = sharesOfInserts[way]
      return [
        { piece: `graphile-worker-${way}`, raw, before: graphile },
        { piece: `pg-boss-${way}`, raw, before: boss },
      ]
    }),
    rows: (measured) =>
      ways.map((way) => {
        const rate = (side: string): readonly number[] => measured(`${side}-${way}`, 'rate')
        const { what, least, leastOfBoss } = enqueueRows[way]
        return compared(
          what,
          'jobs/s',
          {
            byDefault: rate('errand'),
            peers: { 'graphile-worker': rate('graphile-worker'), 'pg-boss': rate('pg-boss') },
          },
          [
            quotient('× graphile-worker', [rate('errand'), rate('graphile-worker')], { least }),
            quotient(
              '× pg-boss',
              [rate('errand'), rate('pg-boss')],
              leastOfBoss === undefined ? {} : { least: leastOfBoss },
            ),
          ],
        )
      }),
  }
}

function drain(open: OpenPlace, sized: Sizer): Group {
  const jobs = sized(80_000)
  return {
    name: 'drain',
    title: 'Drain, one worker process',
    note: 'From the first start of a handler to the last. graphile-worker keeps no finished jobs, pg-boss keeps them.',
    pieces: {
      raw: raw(open, 'postgres-drain', jobs),
      best: drained(open, errandBest, jobs),
      'graphile-worker': drained(open, graphile, jobs),
      default: drained(open, errandDefault, jobs),
      'pg-boss': drained(open, boss, sized(50_000)),
      'best-none': drained(open, { ...errandBest, history: 'none' }, jobs),
      'default-none': drained(open, { ...errandDefault, history: 'none' }, jobs),
    },
    shares: [
      { piece: 'graphile-worker', raw: 'raw', before: 28_596 / 37_537 },
      { piece: 'pg-boss', raw: 'raw', before: 17_562 / 37_537 },
    ],
    rows: (measured) => {
      const rate = (piece: string): readonly number[] => measured(piece, 'rate')
      const cost = (what: string, unit: string, figure: string) =>
        compared(what, unit, {
          best: measured('best', figure),
          byDefault: measured('default', figure),
          peers: {
            'graphile-worker': measured('graphile-worker', figure),
            'pg-boss': measured('pg-boss', figure),
          },
        })
      return [
        compared(
          'drain, results and history kept',
          'jobs/s',
          {
            best: rate('best'),
            byDefault: rate('default'),
            peers: { 'graphile-worker': rate('graphile-worker'), 'pg-boss': rate('pg-boss') },
          },
          [
            quotient('× graphile-worker', [rate('best'), rate('graphile-worker')], { least: 1.2 }),
            quotient('× pg-boss', [rate('best'), rate('pg-boss')], { least: 2 }),
            quotient('default / best', [rate('default'), rate('best')], { least: 0.7 }),
          ],
        ),
        compared(
          'drain, `retention: none`',
          'jobs/s',
          {
            best: rate('best-none'),
            byDefault: rate('default-none'),
            peers: { 'graphile-worker': rate('graphile-worker') },
          },
          [
            quotient('× graphile-worker', [rate('best-none'), rate('graphile-worker')], {
              least: 1.3,
            }),
            quotient('default / best', [rate('default-none'), rate('best-none')], { least: 0.7 }),
          ],
        ),
        cost('CPU of the worker per job drained', 'µs', 'worker cpu'),
        cost('CPU of the server per job drained', 'µs', 'drained cpu'),
        cost('tables and indexes per waiting job', 'bytes', 'enqueued bytes'),
        cost('WAL per job enqueued, 1,000 a call', 'bytes', 'enqueued wal'),
        cost('WAL per job drained', 'bytes', 'drained wal'),
        cost('commits per job drained', 'commits', 'drained commits'),
        cost('dead tuples per job drained', 'rows', 'drained dead'),
      ]
    },
  }
}

function pickUp(open: OpenPlace, sized: Sizer): Group {
  const jobs = sized(pickUps)
  const quick = { purpose: 'latency' } as const
  return {
    name: 'pick-up',
    title: 'Pick-up by an idle worker, one job each 10 ms',
    note: 'From just before the call that enqueues, in another process, to the start of the handler.',
    pieces: {
      errand: pickedUp(open, { ...errandDefault, ...quick }, jobs),
      'graphile-worker': pickedUp(open, { ...graphile, ...quick }, jobs),
      'pg-boss': pickedUp(open, { ...boss, ...quick }, jobs),
    },
    shares: [],
    rows: (measured) =>
      (['p50', 'p99', 'worst'] as const).map((figure) =>
        compared(
          figure,
          'ms',
          {
            byDefault: measured('errand', figure),
            peers: {
              'graphile-worker': measured('graphile-worker', figure),
              'pg-boss': measured('pg-boss', figure),
            },
          },
          [
            quotient(
              '× graphile-worker',
              [measured('errand', figure), measured('graphile-worker', figure)],
              figure === 'worst' ? {} : { most: 0.7 },
            ),
          ],
        ),
      ),
  }
}
