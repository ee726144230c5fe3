/** Groups that ask the same of Errand on every store; the bounds are absolute or Errand's own. */
import { amongMany, claimed, drainedFew, drainedPart, idled, type Piece } from '../pieces.ts'
import { bounded, compared, quotient, type Group } from '../group.ts'
import type { PeerName, Setup } from '../side.ts'
import type { OpenPlace } from '../stage.ts'
import { claims, headOfMillion, millions, type Sizer } from './sizes.ts'

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

/** A worker of fifty queues while nobody writes. */
export function idle(open: OpenPlace): Group {
  return {
    name: 'idle',
    title: 'An idle worker with 50 queues',
    note: 'Store calls beside the wake-up connection; CPU of the whole process, with its threads.',
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
