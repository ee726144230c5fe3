/** Every situation a job can be in, and how to bring one there with the contract alone. */
import assert from 'node:assert/strict'
import type { JobState } from '../../core/job.ts'
import type { ClaimedJob, NewJob } from '../../store/job.ts'
import { requeue, counted, finish, hour, leaseMs, newJob } from './jobs.ts'
import { only, type Scene } from './scene.ts'

/** A job brought into a situation, and the tokens it went through. */
export interface Situation {
  readonly id: string
  /** The token that runs it, or under which it was settled last; null when it was never claimed. */
  readonly token: number | null
  /** A token that another worker took away from its holder; null when there was none. */
  readonly lost: number | null
}

/** The adjectives of situations; a job that no store knows is `unknown`. */
export type SituationName =
  | 'blocked'
  | 'scheduled'
  | 'scheduled again'
  | 'ready'
  | 'ready again'
  | 'suspect'
  | 'running'
  | 'running, asked to cancel'
  | 'running, with an expired lease'
  | 'leased as overdue'
  | 'completed'
  | 'failed'
  | 'cancelled'
  | 'cancelled before its run'
  | 'discarded'
  | 'unknown'

interface Description {
  readonly state: JobState
  readonly reach: (scene: Scene, over: Partial<NewJob>) => Promise<Situation>
}

/** Situations by the adjective that names them. The queue is `queue`, the task `task`; nothing else is in that queue. */
export const situations: Readonly<Record<SituationName, Description>> = {
  blocked: {
    state: 'blocked',
    async reach(scene, over) {
      const need = await scene.enqueue({ queue: 'needs', task: 'need' })
      return never(
        await scene.enqueue({ needs: [{ kind: 'job', id: need, onFailed: 'cancel' }], ...over }),
      )
    },
  },
  scheduled: {
    state: 'scheduled',
    reach: async (scene, over) => never(await scene.enqueue({ delayMs: hour, ...over })),
  },
  'scheduled again': {
    state: 'scheduled',
    async reach(scene, over) {
      const counters = counted({ attempts: 1, failures: 1 })
      return settled(scene, over, (job) =>
        requeue(job, { delayMs: hour, counters, attempt: '"e"', started: true }),
      )
    },
  },
  ready: {
    state: 'ready',
    reach: async (scene, over) => never(await scene.enqueue(over)),
  },
  'ready again': {
    state: 'ready',
    reach: (scene, over) => settled(scene, over, (job) => requeue(job)),
  },
  suspect: {
    state: 'ready',
    async reach(scene, over) {
      const counters = counted({ attempts: 1, losses: 1 })
      return settled(scene, over, (job) => requeue(job, { counters, started: true, suspect: true }))
    },
  },
  running: { state: 'running', reach: (scene, over) => running(scene, over) },
  'running, asked to cancel': {
    state: 'running',
    async reach(scene, over) {
      const job = await running(scene, over)
      assert.deepEqual(await scene.store.cancel([job.id], 'unwanted'), ['asked'])
      return job
    },
  },
  'running, with an expired lease': {
    state: 'running',
    async reach(scene, over) {
      const job = await running(scene, over)
      await scene.advance(leaseMs + 1)
      return job
    },
  },
  'leased as overdue': {
    state: 'running',
    async reach(scene, over) {
      const id = await scene.enqueue({ startWithinMs: 1_000, ...over })
      await scene.advance(1_001)
      const first = only(await scene.sweep())
      const second = await scene.rescue()
      return { id, token: second.token, lost: first.token }
    },
  },
  completed: {
    state: 'completed',
    reach: (scene, over) => settled(scene, over, (job) => finish(job, { output: '1' })),
  },
  failed: {
    state: 'failed',
    reach: (scene, over) =>
      settled(scene, over, (job) =>
        finish(job, { state: 'failed', attempt: '"e"', reason: 'error' }),
      ),
  },
  cancelled: {
    state: 'cancelled',
    reach: (scene, over) =>
      settled(scene, over, (job) => finish(job, { state: 'cancelled', reason: 'r' })),
  },
  'cancelled before its run': {
    state: 'cancelled',
    async reach(scene, over) {
      const id = await scene.enqueue({ delayMs: hour, ...over })
      assert.deepEqual(await scene.store.cancel([id], 'unwanted'), ['cancelled'])
      return never(id)
    },
  },
  discarded: {
    state: 'discarded',
    reach: (scene, over) =>
      settled(scene, over, (job) => finish(job, { state: 'discarded', reason: 'r' })),
  },
  unknown: {
    state: 'ready',
    reach: async () => never(newJob().id),
  },
}

export const situationNames: readonly SituationName[] = Object.keys(situations) as SituationName[]

function never(id: string): Situation {
  return { id, token: null, lost: null }
}

/** Running for the second time: the first lease expired before its start was written. */
async function running(scene: Scene, over: Partial<NewJob>): Promise<Situation & ClaimedJob> {
  const first = await scene.running(over)
  const second = await scene.rescue()
  assert.equal(second.id, first.id)
  return { ...second, lost: first.token }
}

async function settled(
  scene: Scene,
  over: Partial<NewJob>,
  decide: (job: ClaimedJob) => Parameters<Scene['settle']>[0],
): Promise<Situation> {
  const job = await running(scene, over)
  assert.equal(await scene.settle(decide(job)), 'settled')
  return job
}
