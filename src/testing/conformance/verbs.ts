/** Everything that can be done to one job, with the situations in which it may be done and what it then makes of the job. */
import { noCounters } from '../../core/job.ts'
import type { StoredJob } from '../../store/job.ts'
import { claimOf, rescueOf, hour, leaseMs, workerOf } from './jobs.ts'
import { leaseVerbs } from './lease-verbs.ts'
import { situations, type SituationName } from './situations.ts'
import { inEach, runningNames, type Verb } from './verb.ts'

const claimVerbs: readonly Verb[] = [
  {
    name: 'is asked for by a claim',
    act: async (scene) => (await scene.claim()).length,
    legal: inEach(['ready', 'ready again'], 1, leasedTo('worker')),
    otherwise: () => 0,
  },
  {
    name: 'is asked for by a claim that may start suspects',
    act: async (scene) => (await scene.claim({ maxLosses: 5, id: null })).length,
    legal: {
      ...inEach(['ready', 'ready again'], 1, leasedTo('worker')),
      suspect: {
        answer: 1,
        becomes: (before, now) => ({ ...leasedTo('worker')(before, now), startedAt: now }),
      },
    },
    otherwise: () => 0,
  },
  {
    name: 'is asked for by claims while its queue is paused',
    async act(scene) {
      await scene.store.pause(['queue'])
      const named = await scene.claim({ maxLosses: 5, id: null })
      const others = await scene.claim({
        maxLosses: 5,
        queues: [{ name: 'needs', limit: 0 }],
        others: 9,
      })
      return named.length + others.length
    },
    legal: {},
    otherwise: () => 0,
  },
  {
    name: 'is swept at once',
    act: async (scene) => (await scene.store.rescue(rescueOf())).jobs.map((job) => job.why).join(),
    legal: inEach(['running, with an expired lease'], 'lost', leasedTo('sweeper')),
    otherwise: () => '',
  },
  {
    name: 'is swept after a lease would have expired',
    async act(scene) {
      await scene.advance(leaseMs + 1)
      return (await scene.store.rescue(rescueOf())).jobs.map((job) => job.why).join()
    },
    legal: {
      ...inEach(runningNames, 'lost', leasedTo('sweeper')),
      'leased as overdue': { answer: 'overdue', becomes: leasedTo('sweeper') },
    },
    otherwise: () => '',
  },
  {
    name: 'is swept by a process that does not know its task',
    async act(scene) {
      await scene.advance(leaseMs + 1)
      return (await scene.store.rescue(rescueOf({ tasks: ['need', 'other'] }))).jobs.length
    },
    legal: {},
    otherwise: () => 0,
  },
]

const operatorVerbs: readonly Verb[] = [
  {
    name: 'is cancelled',
    act: async (scene, job) => (await scene.store.cancel([job.id], 'asked'))[0],
    legal: {
      ...inEach(
        ['blocked', 'scheduled', 'scheduled again', 'ready', 'ready again', 'suspect'],
        'cancelled',
        (_, now) => ({
          state: 'cancelled',
          reason: 'asked',
          finishedAt: now,
          expiresAt: now + hour,
        }),
      ),
      ...inEach(runningNames, 'asked', () => ({ cancelAsked: true })),
    },
    otherwise: (name) => (name === 'unknown' ? 'missing' : 'final'),
  },
  {
    name: 'is retried by an operator',
    act: async (scene, job) => (await scene.store.retry([job.id]))[0],
    legal: inEach(
      ['failed', 'cancelled', 'cancelled before its run', 'discarded'],
      'retried',
      (_, now) => ({
        state: 'ready',
        dueAt: now,
        counters: noCounters,
        startedAt: null,
        finishedAt: null,
        expiresAt: null,
        progress: null,
        output: null,
        reason: null,
      }),
    ),
    otherwise: (name) => (name === 'unknown' ? 'missing' : 'unfit'),
  },
  {
    name: 'is removed',
    act: async (scene, job) => (await scene.store.remove([job.id]))[0],
    legal: inEach(
      Object.keys(situations).filter(
        (name) => !isRunning(name) && name !== 'unknown',
      ) as SituationName[],
      'removed',
      () => 'gone',
    ),
    otherwise: (name) => (name === 'unknown' ? 'missing' : 'running'),
  },
  {
    name: 'is taken',
    act: async (scene, job) => (await scene.store.take([job.id]))[0]?.state ?? 'missing',
    legal: Object.fromEntries(
      (['completed', 'failed', 'cancelled', 'cancelled before its run', 'discarded'] as const).map(
        (name) => [name, { answer: situations[name].state, becomes: () => 'gone' }],
      ),
    ),
    otherwise: (name) => (name === 'unknown' ? 'missing' : situations[name].state),
  },
]

const keepingVerbs: readonly Verb[] = [
  {
    name: 'is pruned before its time',
    act: async (scene) => (await scene.store.prune({ limit: 100, cap: 100 })).removed,
    legal: {},
    otherwise: () => 0,
  },
  {
    name: 'is tended',
    act: async (scene) => (await scene.store.tend(workerOf())).paused.length,
    legal: {},
    otherwise: () => 0,
  },
  {
    name: 'is asked for by a client that was closed',
    async act(scene, job) {
      const other = await scene.another()
      await other.close()
      const calls = [other.cancel([job.id], null), other.remove([job.id]), other.claim(claimOf())]
      return (await Promise.allSettled(calls)).every((call) => call.status === 'rejected')
    },
    legal: {},
    otherwise: () => true,
  },
]

export const verbs: readonly Verb[] = [
  ...leaseVerbs,
  ...claimVerbs,
  ...operatorVerbs,
  ...keepingVerbs,
]

function isRunning(name: string): boolean {
  return (runningNames as readonly string[]).includes(name)
}

function leasedTo(worker: string): (before: StoredJob, now: number) => Partial<StoredJob> {
  return (_, now) => ({ state: 'running', worker, token: -1, leaseUntil: now + leaseMs })
}
