/** Groups that ask the same of Errand on every store; the bounds are absolute or Errand's own. */
import { shown, median } from '../../kit/numbers.ts'
import { inputText, mostResident } from '../../measures/large-inputs.ts'
import {
  amongMany,
  calledVerbs,
  claimed,
  drainedByFleet,
  drainedFew,
  drainedLarge,
  drainedPart,
  firedInTurn,
  firedSchedules,
  idled,
  usedQueuesOnce,
  type Piece,
} from '../pieces.ts'
import { bounded, compared, quotient, type ComparedRow, type Group } from '../group.ts'
import type { Runs } from '../../row.ts'
import type { PeerName, Setup } from '../side.ts'
import { filePlaces, type OpenPlace } from '../stage.ts'
import {
  bulkJobs,
  claims,
  fleetJobs,
  headOfMillion,
  largeInputs as largeJobs,
  millions,
  queuesUsedOnce as queuesOnce,
  schedules as manySchedules,
  type Sizer,
} from './sizes.ts'

type Unplaced = Omit<Setup, 'url'>

export const errandBest: Unplaced = {
  side: 'errand',
  tuning: 'best',
  history: 'kept',
  purpose: 'throughput',
}
export const errandDefault: Unplaced = { ...errandBest, tuning: 'default' }

/** A long backlog and a full store; peers only drain the head of their backlog. */
export function million(
  open: OpenPlace,
  sized: Sizer,
  peers: Readonly<Partial<Record<PeerName, Unplaced>>>,
): Group {
  const [jobs, part] = [sized(millions), sized(headOfMillion)]
  const peerPieces: Record<string, Piece> = {}
  for (const [name, side] of Object.entries(peers))
    peerPieces[name] = drainedPart(open, side, jobs, part)
  const many = jobs.toLocaleString('en-US')
  return {
    name: 'million',
    title: `${many} jobs`,
    note: `The rate with ${many} waiting is that of the first ${part.toLocaleString('en-US')} after a warm-up; with 10,000, that of five times 10,000. Claims are calls of the store; finished jobs are those of the drain before.`,
    mostRuns: 3,
    pieces: {
      few: drainedFew(open, errandBest, 60_000),
      many: amongMany(open, errandBest, jobs, part, claims),
      empty: claimed(open, errandBest, claims),
      ...peerPieces,
    },
    shares: [],
    rows: (measured) => [
      compared('drain, 10,000 waiting', 'jobs/s', { best: measured('few', 'rate') }),
      compared(
        `drain, ${many} waiting`,
        'jobs/s',
        {
          best: measured('many', 'rate'),
          peers: Object.fromEntries(
            Object.keys(peers).map((name) => [name, measured(name, 'rate')]),
          ),
        },
        [
          quotient('× that of 10,000', [measured('many', 'rate'), measured('few', 'rate')], {
            least: 0.9,
          }),
        ],
      ),
      ...(['one', 'hundred'] as const).map((size) =>
        compared(
          `claim of ${size === 'one' ? 1 : 100}, ${many} finished and as many scheduled, p50`,
          'ms',
          { best: measured('many', size) },
          [
            quotient('× empty store', [measured('many', size), measured('empty', size)], {
              most: 1.5,
            }),
          ],
        ),
      ),
    ],
  }
}

const fleets = [1, 2, 4, 8] as const

/** Whether more worker processes drain no slower than one. */
export function fleet(
  open: OpenPlace,
  sized: Sizer,
  peer: { readonly name: PeerName; readonly side: Unplaced; readonly jobs: number },
): Group {
  const pieces: Record<string, Piece> = {}
  for (const processes of fleets) {
    pieces[`errand-${processes}`] = drainedByFleet(open, errandBest, sized(fleetJobs), processes)
    const theirs = sized(peer.jobs)
    pieces[`${peer.name}-${processes}`] = drainedByFleet(open, peer.side, theirs, processes)
  }
  return {
    name: 'fleet',
    title: 'Drain by 1, 2, 4 and 8 worker processes',
    note: 'On two cores the server and all processes compete. Errand keeps history, and is measured until its last job is settled; the peer until its last start. A process of eight runs 25,000 jobs, in which it still warms up.',
    mostRuns: 3,
    pieces,
    shares: [],
    rows: (measured) =>
      fleets.flatMap((processes) => {
        const figures = (figure: string): Partial<ComparedRow> => ({
          best: measured(`errand-${processes}`, figure),
          peers: { [peer.name]: measured(`${peer.name}-${processes}`, figure) },
        })
        const many = `${processes} ${processes === 1 ? 'process' : 'processes'}`
        const least = { least: processes === 8 ? 0.9 : 1 }
        const ours = (of: number): Runs => measured(`errand-${of}`, 'rate')
        const theirs = measured(`${peer.name}-${processes}`, 'rate')
        return [
          compared(many, 'jobs/s', figures('rate'), [
            ...(processes === 1
              ? []
              : [quotient('× one process', [ours(processes), ours(1)], least)]),
            quotient(`× ${peer.name}`, [ours(processes), theirs]),
          ]),
          compared(`${many}, start included`, 'jobs/s', figures('rate with start')),
          compared(`${many}, start to first job`, 'ms', figures('first start')),
          compared(`${many}, jobs a claim`, 'jobs', {
            best: measured(`errand-${processes}`, 'jobs a claim'),
          }),
          compared(`${many}, jobs a settle`, 'jobs', {
            best: measured(`errand-${processes}`, 'jobs a settle'),
          }),
          compared(`${many}, CPU of workers per job`, 'µs', figures('worker cpu')),
          compared(`${many}, CPU of the server per job`, 'µs', figures('drained cpu')),
        ]
      }),
  }
}

/** A worker of fifty queues while nobody writes. */
export function idle(open: OpenPlace): Group {
  return {
    name: 'idle',
    title: 'An idle worker with 50 queues',
    note: 'Store calls beside the wake-up connection; CPU of the whole process, with its threads.',
    isAlone: true,
    mostRuns: 1,
    pieces: { idle: idled(open, errandDefault) },
    shares: [],
    rows: (measured) => {
      const [calls, cpu] = [measured('idle', 'calls'), measured('idle', 'cpu')]
      return [
        compared('store calls in 5 s', 'calls', { byDefault: calls }, [bounded('', calls, 1)]),
        compared('CPU', '%', { byDefault: cpu }, [bounded('%', cpu, 1)]),
      ]
    },
  }
}

/** Whether queues that were used once slow what comes later. */
export function queuesUsedOnce(open: OpenPlace, sized: Sizer): Group {
  const queues = sized(queuesOnce)
  return {
    name: 'queues-used-once',
    title: `${queues.toLocaleString('en-US')} queues that were used once`,
    note: 'Ordinary jobs of one worker process, before and after one job ran in each of the queues.',
    isAlone: true,
    mostRuns: 3,
    pieces: { once: usedQueuesOnce(open, errandDefault, queues) },
    shares: [],
    rows: (measured) => {
      const once = (figure: string): Runs => measured('once', figure)
      return [
        compared('one job in each queue, enqueued and run', 'jobs/s', {
          byDefault: once('once rate'),
        }),
        compared('one job before, enqueued to settled, p50', 'ms', {
          byDefault: once('p50 before'),
        }),
        compared('one job after, p50', 'ms', { byDefault: once('p50 after') }, [
          quotient('× before', [once('p50 after'), once('p50 before')], { most: 1.2 }),
        ]),
        compared('drain of 10,000 jobs before', 'jobs/s', { byDefault: once('rate before') }),
        compared('drain of 10,000 jobs after', 'jobs/s', { byDefault: once('rate after') }, [
          quotient('× before', [once('rate after'), once('rate before')], { least: 0.8 }),
        ]),
      ]
    },
  }
}

/** What schedules cost. */
export function schedules(open: OpenPlace, sized: Sizer): Group {
  const count = sized(manySchedules)
  const many = count.toLocaleString('en-US')
  return {
    name: 'schedules',
    title: 'Schedules',
    note: 'One worker process, which runs no jobs of the many schedules.',
    isAlone: true,
    mostRuns: 3,
    pieces: {
      together: firedSchedules(open, errandDefault, count),
      turn: firedInTurn(open, errandDefault),
    },
    shares: [],
    rows: (measured) => {
      const row = (
        what: string,
        unit: string,
        figure: string,
        most: number | null,
      ): ComparedRow => {
        const runs = measured('together', figure)
        return compared(
          what,
          unit,
          { byDefault: runs },
          most === null ? [] : [bounded(unit, runs, most)],
        )
      }
      const [tick, job] = [measured('turn', 'tick p50'), measured('turn', 'job p50')]
      return [
        row(`${many} due in one second, all fired within`, 'ms', 'fired within', 2_000),
        row('CPU of that minute', '%', 'cpu', 20),
        row(`start of a worker that declares ${many}`, 'ms', 'start', null),
        row(`CPU with ${many} at rest`, '%', 'idle cpu', 1),
        row(`store calls in 5 s with ${many} at rest`, 'calls', 'idle calls', 1),
        compared('from a tick to its handler, p50', 'ms', { byDefault: tick }, [
          quotient('× an ordinary job from its call', [tick, job], { most: 1.5 }),
        ]),
      ]
    },
  }
}

/** Whether a worker's memory stays bounded where many large inputs wait. */
export function largeInputs(open: OpenPlace, sized: Sizer): Group {
  return {
    name: 'large-inputs',
    title: `Jobs with inputs of ${inputText}`,
    note: 'One worker process with default settings; another one enqueued.',
    isAlone: true,
    mostRuns: 3,
    pieces: { drained: drainedLarge(open, errandDefault, sized(largeJobs)) },
    shares: [],
    rows: (measured) => {
      const figure = (name: string): Runs => measured('drained', name)
      return [
        compared(`drain, ${shown(median(figure('waiting')))} MiB waiting`, 'MiB/s', {
          byDefault: figure('rate'),
        }),
        compared('resident before', 'MiB', { byDefault: figure('before') }),
        compared('resident at most', 'MiB', { byDefault: figure('peak') }, [
          bounded('MiB', figure('peak'), mostResident),
        ]),
      ]
    },
  }
}

/** The verbs of operators on many jobs, held against those on a file. */
export function bulkVerbs(open: OpenPlace, sized: Sizer): Group {
  const jobs = sized(bulkJobs)
  const many = jobs.toLocaleString('en-US')
  const rows = {
    cancel: `cancel of ${many} waiting jobs`,
    retry: `retry of ${many} cancelled jobs`,
    take: `take of ${many} completed jobs, 100 calls in flight`,
    remove: `remove of ${many} waiting jobs`,
  }
  return {
    name: 'bulk-verbs',
    title: 'The verbs of operators on many jobs',
    note: 'By filter, but for take, which is called for one job at a time. SQLite is measured in the same run, with its default durability.',
    isAlone: true,
    mostRuns: 3,
    pieces: {
      verbs: calledVerbs(open, errandDefault, jobs),
      sqlite: calledVerbs(filePlaces, errandDefault, jobs),
    },
    shares: [],
    rows: (measured) =>
      Object.entries(rows).map(([verb, what]) => {
        const [here, file] = [measured('verbs', verb), measured('sqlite', verb)]
        return compared(what, 's', { byDefault: here }, [
          quotient(`× SQLite (${shown(median(file))} s)`, [here, file], { most: 5 }),
        ])
      }),
  }
}
