/** Groups about jobs that need others, or follow them. */
import { atLeast, atMost, type Runs } from '../../row.ts'
import { compared, quotient, type ComparedRow, type Group } from '../group.ts'
import { chained, drainedFollowUps, drainedNeeds, raised } from '../pieces.ts'
import type { PeerName, Setup } from '../side.ts'
import type { OpenPlace } from '../stage.ts'
import { errandDefault } from './errand-alone.ts'
import { chainLinks, childrenOfOne, followedJobs, needsJobs, type Sizer } from './sizes.ts'

type Unplaced = Omit<Setup, 'url'>

/** Whether the few jobs that need others slow the many that do not. */
export function needs(open: OpenPlace, sized: Sizer): Group {
  return {
    name: 'needs',
    title: 'Jobs that need others among plain ones',
    note: 'Drains of one worker process by turns, five pairs in a run: plain jobs, and as many of which 1 % need another. Rates are of all jobs: the work of the 1 %, each with the release of another, counts.',
    isAlone: true,
    mostRuns: 3,
    pieces: { needs: drainedNeeds(open, errandDefault, sized(needsJobs)) },
    shares: [],
    rows: (measured) => {
      const figure = (name: string): Runs => measured('needs', name)
      return [
        compared('drain of plain jobs', 'jobs/s', { byDefault: figure('none') }),
        compared('drain where 1 % need another', 'jobs/s', { byDefault: figure('some') }, [
          { of: '× plain, median of the pairs', runs: figure('some / none'), aim: atLeast(0.97) },
        ]),
      ]
    },
  }
}

/** What a follow-up costs the end of its job. */
export function followUps(open: OpenPlace, sized: Sizer): Group {
  return {
    name: 'follow-ups',
    title: 'Jobs with a follow-up each',
    note: 'Drains of one worker process by turns, five pairs in a run: jobs without a follow-up, and as many with one, which waits in a paused queue.',
    isAlone: true,
    mostRuns: 3,
    pieces: { 'follow-ups': drainedFollowUps(open, errandDefault, sized(followedJobs)) },
    shares: [],
    rows: (measured) => {
      const figure = (name: string): Runs => measured('follow-ups', name)
      return [
        compared('drain of jobs without', 'jobs/s', { byDefault: figure('without') }),
        compared('drain of jobs with a follow-up', 'jobs/s', { byDefault: figure('with') }, [
          {
            of: '× without, median of the pairs',
            runs: figure('with / without'),
            aim: atLeast(0.7),
          },
        ]),
      ]
    },
  }
}

/** How soon the jobs of a chain follow each other. */
export function chain(open: OpenPlace, sized: Sizer): Group {
  const links = sized(chainLinks)
  return {
    name: 'chain',
    title: `A chain of ${links.toLocaleString('en-US')} jobs that each need the one before`,
    note: 'One idle worker process, which also enqueues: from the start of one job to that of the next, and from the call of `enqueue` to the start of an ordinary job.',
    isAlone: true,
    mostRuns: 3,
    pieces: { chain: chained(open, errandDefault, links) },
    shares: [],
    rows: (measured) => {
      const figure = (name: string): Runs => measured('chain', name)
      return [
        compared('ordinary job from its call, p50', 'ms', { byDefault: figure('pick-up') }),
        compared('from one start to the next, p50', 'ms', { byDefault: figure('link p50') }, [
          { of: '× an ordinary job', runs: figure('link / pick-up'), aim: atMost(1.5) },
        ]),
        compared('from one start to the next, mean', 'ms', { byDefault: figure('link') }),
      ]
    },
  }
}

/** Parents that need many children, beside a peer that has such. */
export function children(
  open: OpenPlace,
  sized: Sizer,
  peer: { readonly name: PeerName; readonly side: Unplaced } | null,
): Group {
  const count = sized(childrenOfOne)
  const theirs = peer === null ? {} : { [peer.name]: raised(open, peer.side, count) }
  return {
    name: 'children',
    title: `A parent that needs ${count.toLocaleString('en-US')} children`,
    note: 'One idle worker process, which also enqueues: from the call that stores all of them to the start of the parent, the median of five after a warm-up.',
    ...(peer === null ? { isAlone: true } : {}),
    mostRuns: 3,
    pieces: { errand: raised(open, errandDefault, count), ...theirs },
    shares: [],
    rows: (measured) => {
      const sides = (figure: string): Partial<ComparedRow> => ({
        byDefault: measured('errand', figure),
        peers: peer === null ? {} : { [peer.name]: measured(peer.name, figure) },
      })
      return [
        compared('from the call to the start of the parent', 'ms', sides('ms')),
        compared(
          'children',
          'jobs/s',
          sides('rate'),
          peer === null
            ? []
            : [
                quotient(
                  `× ${peer.name}`,
                  [measured('errand', 'rate'), measured(peer.name, 'rate')],
                  { least: 2 },
                ),
              ],
        ),
      ]
    },
  }
}
