/** Everything that can be done to one job, with the situations in which it may be done and what it then makes of the job. */
import { noCounters } from '../../core/job.ts'
import type { Settlement, StoredJob } from '../../store.ts'
import {
  again,
  claimOf,
  counted,
  expiredOf,
  finish,
  hour,
  leaseMs,
  newJob,
  workerOf,
} from './jobs.ts'
import type { Scene } from './scene.ts'
import { situations, type Situation, type SituationName } from './situations.ts'

/** One row of the table. In a situation that is not listed, the verb gives its other answer and changes nothing. */
export interface Verb {
  /** What happens to the job, as in “a ready job that …”. */
  readonly name: string
  readonly act: (scene: Scene, job: Situation) => Promise<unknown>
  readonly legal: Partial<Record<SituationName, Legal>>
  readonly otherwise: (name: SituationName) => unknown
}

interface Legal {
  readonly answer: unknown
  readonly becomes: Becomes
}

/** The fields that change; `token: -1` stands for a new token, greater than the last. */
type Becomes = (before: StoredJob, now: number) => Partial<StoredJob> | 'gone'

/** One settlement of each kind, for a lease. */
export function everySettlement(lease: {
  readonly id: string
  readonly token: number
}): readonly Settlement[] {
  return Object.values(settlements).map((make) => ({
    ...make(lease),
    followUps: [newJob({ queue: 'follow-ups' })],
  }))
}

const counters = counted({ attempts: 3, failures: 2, losses: 1 })
const kept = { counters, error: '"new"', reason: 'why', keepMs: 2 * hour }
const settlements = {
  'settled as completed': (lease) =>
    finish(lease, { ...kept, state: 'completed', output: '{"a":1}' }),
  'settled as failed': (lease) => finish(lease, { ...kept, state: 'failed' }),
  'settled as cancelled': (lease) => finish(lease, { ...kept, state: 'cancelled', keepMs: null }),
  'settled as discarded': (lease) => finish(lease, { ...kept, state: 'discarded' }),
  'put back for later': (lease) =>
    again(lease, { counters, error: '"new"', delayMs: 5_000, started: true }),
  'put back as ready': (lease) => again(lease, { counters }),
} satisfies Record<string, (lease: { readonly id: string; readonly token: number }) => Settlement>

const runningNames = [
  'running',
  'running, asked to cancel',
  'running, with an expired lease',
  'leased as overdue',
] as const satisfies readonly SituationName[]

const settleVerbs: readonly Verb[] = Object.entries(settlements).map(([name, make]) => ({
  name: `is ${name} with its last token`,
  act: (scene, job) => scene.settle(make({ id: job.id, token: job.token ?? 0 })),
  legal: inEach(runningNames, 'settled', (before, now) =>
    settledAs(make({ id: before.id, token: 0 }), before, now),
  ),
  otherwise: (name) => (wasSettled(name) ? 'settled' : 'stale'),
}))

const leaseVerbs: readonly Verb[] = [
  {
    name: 'is settled in any way with a token that it lost or never had',
    async act(scene, job) {
      const answers: string[] = []
      for (const token of wrongTokens(job))
        answers.push(...(await scene.store.settle(everySettlement({ id: job.id, token }))))
      return unanimous(answers)
    },
    legal: {},
    otherwise: () => 'stale',
  },
  {
    name: 'is renewed with its last token',
    act: async (scene, job) =>
      (await scene.store.renew([{ id: job.id, token: job.token ?? 0 }], hour))[0],
    legal: {
      ...inEach(runningNames, 'renewed', (_, now) => ({ leaseUntil: now + hour })),
      'running, asked to cancel': {
        answer: 'cancel-asked',
        becomes: (_, now) => ({ leaseUntil: now + hour }),
      },
    },
    otherwise: () => 'stale',
  },
  {
    name: 'is renewed with a token that it lost or never had',
    act: async (scene, job) =>
      unanimous(
        await scene.store.renew(
          wrongTokens(job).map((token) => ({ id: job.id, token })),
          hour,
        ),
      ),
    legal: {},
    otherwise: () => 'stale',
  },
  {
    name: 'is noted as started with its last token',
    act: async (scene, job) =>
      (await scene.store.note([{ id: job.id, token: job.token ?? 0, kind: 'start', agoMs: 7 }]))[0],
    legal: inEach(runningNames, 'noted', (_, now) => ({ startedAt: now - 7 })),
    otherwise: () => 'stale',
  },
  {
    name: 'is noted to have progressed with its last token',
    act: async (scene, job) =>
      (
        await scene.store.note([
          { id: job.id, token: job.token ?? 0, kind: 'progress', value: '0.5' },
        ])
      )[0],
    legal: inEach(runningNames, 'noted', () => ({ progress: '0.5' })),
    otherwise: () => 'stale',
  },
  {
    name: 'is noted with a token that it lost or never had',
    act: async (scene, { id, ...tokens }) =>
      unanimous(
        await scene.store.note(
          wrongTokens(tokens).flatMap((token) => [
            { id, token, kind: 'start', agoMs: 0 },
            { id, token, kind: 'progress', value: '1' },
            { id, token, kind: 'log', agoMs: 0, level: 'info', text: 'line' },
          ]),
        ),
      ),
    legal: {},
    otherwise: () => 'stale',
  },
]

const claimVerbs: readonly Verb[] = [
  {
    name: 'is asked for by a claim',
    act: async (scene) => (await scene.claim()).length,
    legal: inEach(['ready', 'ready again'], 1, leasedTo('worker')),
    otherwise: () => 0,
  },
  {
    name: 'is asked for by a claim that may start suspects',
    act: async (scene) => (await scene.claim({ suspects: 5 })).length,
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
      const named = await scene.claim({ suspects: 5 })
      const others = await scene.claim({
        suspects: 5,
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
    act: async (scene) =>
      (await scene.store.expired(expiredOf())).jobs.map((job) => job.why).join(),
    legal: inEach(['running, with an expired lease'], 'lost', leasedTo('sweeper')),
    otherwise: () => '',
  },
  {
    name: 'is swept after a lease would have expired',
    async act(scene) {
      await scene.advance(leaseMs + 1)
      return (await scene.store.expired(expiredOf())).jobs.map((job) => job.why).join()
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
      return (await scene.store.expired(expiredOf({ tasks: ['need', 'other'] }))).jobs.length
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
    name: 'asks for cancel, renew and note in vain after its store was closed',
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
  ...settleVerbs,
  ...leaseVerbs,
  ...claimVerbs,
  ...operatorVerbs,
  ...keepingVerbs,
]

/** Whether a repeat of the last settlement is recognised. */
function wasSettled(name: SituationName): boolean {
  switch (name) {
    case 'scheduled again':
    case 'ready again':
    case 'suspect':
    case 'completed':
    case 'failed':
    case 'cancelled':
    case 'discarded':
      return true
    case 'blocked':
    case 'scheduled':
    case 'ready':
    case 'running':
    case 'running, asked to cancel':
    case 'running, with an expired lease':
    case 'leased as overdue':
    case 'cancelled before its run':
    case 'unknown':
      return false
  }
}

function isRunning(name: string): boolean {
  return (runningNames as readonly string[]).includes(name)
}

function inEach(names: readonly SituationName[], answer: unknown, becomes: Becomes): Verb['legal'] {
  return Object.fromEntries(names.map((name) => [name, { answer, becomes }]))
}

function leasedTo(worker: string): (before: StoredJob, now: number) => Partial<StoredJob> {
  return (_, now) => ({ state: 'running', worker, token: -1, leaseUntil: now + leaseMs })
}

function settledAs(settlement: Settlement, before: StoredJob, now: number): Partial<StoredJob> {
  const errors = settlement.error === null ? before.errors : [...before.errors, settlement.error]
  const common = { counters: settlement.counters, errors, leaseUntil: null }
  switch (settlement.kind) {
    case 'finish': {
      const { state, output, reason, keepMs } = settlement
      const expiresAt = keepMs === null ? null : now + keepMs
      return { ...common, state, output, reason, finishedAt: now, expiresAt }
    }
    case 'again': {
      const state = settlement.delayMs > 0 ? 'scheduled' : 'ready'
      const startBy = settlement.started ? null : before.startBy
      return {
        ...common,
        state,
        dueAt: now + settlement.delayMs,
        startBy,
        startedAt: null,
        cancelAsked: false,
      }
    }
  }
}

function wrongTokens({ token, lost }: Pick<Situation, 'token' | 'lost'>): number[] {
  return [...(lost === null ? [] : [lost]), (token ?? 0) + 1, (token ?? 0) + 1_000]
}

/** The one answer that all gave, or all of them. */
function unanimous(answers: readonly string[]): string {
  return [...new Set(answers)].join()
}
