/** What the holder of a lease does to its job, and what others do who hold it no more. */
import type { Settlement } from '../../store/worker-calls.ts'
import type { StoredJob } from '../../store/job.ts'
import { requeue, counted, finish, hour, newJob } from './jobs.ts'
import type { Situation, SituationName } from './situations.ts'
import { inEach, runningNames, type Verb } from './verb.ts'

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
const kept = { counters, attempt: '"new"', reason: 'why', keepMs: 2 * hour }
const settlements = {
  'settled as completed': (lease) =>
    finish(lease, { ...kept, state: 'completed', output: '{"a":1}' }),
  'settled as failed': (lease) => finish(lease, { ...kept, state: 'failed' }),
  'settled as cancelled': (lease) => finish(lease, { ...kept, state: 'cancelled', keepMs: null }),
  'settled as discarded': (lease) => finish(lease, { ...kept, state: 'discarded' }),
  'put back for later': (lease) =>
    requeue(lease, { counters, attempt: '"new"', delayMs: 5_000, started: true }),
  'put back as ready': (lease) => requeue(lease, { counters }),
} satisfies Record<string, (lease: { readonly id: string; readonly token: number }) => Settlement>

const settleVerbs: readonly Verb[] = Object.entries(settlements).map(([name, make]) => ({
  name: `is ${name} with its last token`,
  act: (scene, job) => scene.settle(make({ id: job.id, token: job.token ?? 0 })),
  legal: inEach(runningNames, 'settled', (before, now) =>
    settledAs(make({ id: before.id, token: 0 }), before, now),
  ),
  otherwise: (name) => (wasSettled(name) ? 'settled' : 'stale'),
}))

const noteVerbs: readonly Verb[] = [
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

export const leaseVerbs: readonly Verb[] = [...settleVerbs, ...noteVerbs]

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

function settledAs(settlement: Settlement, before: StoredJob, now: number): Partial<StoredJob> {
  const attempts =
    settlement.attempt === null ? before.attempts : [...before.attempts, settlement.attempt]
  const common = { counters: settlement.counters, attempts, leaseUntil: null }
  switch (settlement.kind) {
    case 'finish': {
      const { state, output, reason, keepMs } = settlement
      const expiresAt = keepMs === null ? null : now + keepMs
      return { ...common, state, output, reason, finishedAt: now, expiresAt }
    }
    case 'requeue': {
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
