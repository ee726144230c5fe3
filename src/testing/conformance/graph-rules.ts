/** Random graphs of jobs that need each other, through everything that may happen to them. */
import assert from 'node:assert/strict'
import type { FinalState } from '../../core/job.ts'
import { isFinal } from '../../core/job.ts'
import type { ClaimedJob, NeededJob, NewJob, StoredJob } from '../../store/job.ts'
import type { Store } from '../../store/store.ts'
import type { Rule } from './harness.ts'
import { claimOf, finish, leaseMs, newJob, requeue, rescueOf } from './jobs.ts'
import { rulesOf } from './rule.ts'
import type { Scene } from './scene.ts'
import { randomFrom } from './soak-rules.ts'

/** The largest graph of a run with many rounds. */
const mostNodes = 200

/** What became of the nodes, as far as their workers and operators were told. */
interface Told {
  readonly byId: Map<string, NewJob>
  /** Nodes that others added while they ran; the last node waits for them. */
  readonly added: Set<string>
  readonly last: string
  /** Accepted endings. */
  readonly ended: Map<string, { readonly state: FinalState; readonly output: string | null }>
  readonly claimed: Set<string>
  readonly cancelled: Set<string>
  /** Jobs that were removed once they had ended. */
  readonly gone: Set<string>
  /** Whether a need that failed may have been retried, so that who needs it may run. */
  isRetried: boolean
}

export const graphRules: readonly Rule[] = rulesOf('graphs', {
  'whatever happens to the nodes of a graph, each ends, edges are kept, and outputs arrive': async (
    scene,
  ) => {
    await liveGraph(scene, Math.floor(Math.random() * 2 ** 32))
  },
})

/** One graph with all that a seed does to it. Rejects with what went wrong, and the seed. */
export async function liveGraph(scene: Scene, seed: number): Promise<void> {
  try {
    await live(scene, randomFrom(seed))
  } catch (error) {
    throw new assert.AssertionError({ message: `seed ${seed}: ${String(error)}` })
  }
}

async function live(scene: Scene, random: () => number): Promise<void> {
  const jobs = graphOf(Math.min(mostNodes, scene.rounds * 2), random)
  const told: Told = {
    byId: new Map(jobs.map((job) => [job.id, job])),
    added: new Set(),
    last: jobs.at(-1)?.id ?? '',
    ended: new Map(),
    claimed: new Set(),
    cancelled: new Set(),
    gone: new Set(),
    isRetried: false,
  }
  const nodes = (): readonly NewJob[] => [...told.byId.values()]
  const key = 'workflow/graph'
  const advance = [{ key, from: null, to: null, jobs: jobs.map(({ id }) => id) }]
  const answers = await scene.store.insert(jobs, { advance })
  assert.ok(answers.every(({ status }) => status === 'created'))
  assert.deepEqual(await scene.store.getRecords([key]), [null], 'its record is none')

  const clients = await scene.clients(2)
  await runOut(scene, clients, told, random)
  for (const job of await all(scene.store, nodes())) if (job !== null) checkEnd(job, told)
  await checkCounts(scene)

  told.isRetried = true
  told.cancelled.clear()
  const failed = (await all(scene.store, nodes())).filter((job) => job !== null)
  await scene.store.retry(failed.map(({ id }) => id))
  await runOut(scene, clients, told, () => 0.99)
  for (const job of await all(scene.store, nodes()))
    if (job !== null) assert.equal(job.state, 'completed', `${job.id} after its retry`)
  await checkCounts(scene)
}

/** Nodes in the order of their needs; the last one needs all, as the end of a workflow does. */
function graphOf(size: number, random: () => number): NewJob[] {
  const group = 'graph'
  const onFailed = (): 'cancel' | 'fail' | 'run' =>
    random() < 0.4 ? 'cancel' : random() < 0.3 ? 'fail' : 'run'
  const jobs: NewJob[] = []
  for (let n = 0; n < size; n += 1) {
    const needed = new Set(
      Array.from({ length: Math.floor(random() * 4) }, () => jobs[Math.floor(random() * n)]?.id),
    )
    const needs = [...needed].flatMap((id) =>
      id === undefined
        ? []
        : [
            {
              kind: 'job',
              id,
              onFailed: onFailed(),
              output: random() < 0.5 ? 'hand' : 'keep',
            } as const,
          ],
    )
    const delayMs = random() < 0.1 ? leaseMs : 0
    jobs.push(newJob({ group, needs, delayMs, queue: `queue${n % 2}`, keepCancelledMs: null }))
  }
  const needs = jobs.map(
    ({ id }) => ({ kind: 'job', id, onFailed: 'run', output: 'keep' }) as const,
  )
  return [...jobs, newJob({ group, needs, queue: 'queue0', keepCancelledMs: null })]
}

/** Lets two workers at once work, die, and be disturbed, until nothing is left to do. */
async function runOut(
  scene: Scene,
  clients: readonly Store[],
  told: Told,
  random: () => number,
): Promise<void> {
  const ids = [...told.byId.keys()]
  for (let turn = 0; turn < 40 * ids.length; turn += 1) {
    await Promise.all(clients.map((client) => work(client, told, random)))
    if (random() < 0.3) await scene.advance(leaseMs + 1)
    if (random() < 0.02) await cancelSome(scene.store, ids, told, random)
    if (random() < 0.05) await takeSome(scene.store, ids, told, random)
    if (turn % 10 !== 9) continue
    await scene.advance(leaseMs + 1)
    const found = await all(scene.store, [...told.byId.values()])
    if (found.every((job) => job === null || isFinal(job.state))) return
  }
  const open = (await all(scene.store, [...told.byId.values()])).filter(
    (job) => job !== null && !isFinal(job.state),
  )
  assert.fail(`not ended: ${open.map((job) => `${job?.id} ${job?.state}`).join(', ')}`)
}

async function cancelSome(
  store: Store,
  ids: readonly string[],
  told: Told,
  random: () => number,
): Promise<void> {
  const id = ids[Math.floor(random() * ids.length)] ?? ''
  const [answer] = await store.cancel([id], 'enough')
  if (answer === 'cancelled' || answer === 'asked') told.cancelled.add(id)
}

async function takeSome(
  store: Store,
  ids: readonly string[],
  told: Told,
  random: () => number,
): Promise<void> {
  const id = ids[Math.floor(random() * ids.length)] ?? ''
  const [job] = await store.take([id])
  if (job && isFinal(job.state)) told.gone.add(id)
}

async function work(client: Store, told: Told, random: () => number): Promise<void> {
  const swept = await client.rescue(rescueOf({ limit: 20 }))
  for (const job of swept.jobs) await client.settle([requeue(job, { suspect: true })])
  const queues = ['queue0', 'queue1'].map((name) => ({ name, limit: 4 }))
  const { jobs } = await client.claim(claimOf({ queues, limit: 6, maxLosses: 1_000 }))
  for (const job of jobs) {
    told.claimed.add(job.id)
    checkNeeded(job, told)
    // A worker that dies lets the lease run out.
    if (random() < 0.1) continue
    await settle(client, job, told, random)
  }
}

async function settle(
  client: Store,
  job: ClaimedJob,
  told: Told,
  random: () => number,
): Promise<void> {
  if (random() < 0.1) {
    await client.settle([requeue(job)])
    return
  }
  const chance = random()
  const state = chance < 0.12 ? 'failed' : chance < 0.16 ? 'discarded' : 'completed'
  const output = state === 'completed' ? JSON.stringify({ of: job.id }) : null
  const reason = state === 'completed' ? null : 'error'
  const keepMs = state === 'completed' && random() < 0.2 ? 0 : null
  const followUps =
    state === 'completed' && random() < 0.1 && job.id !== told.last ? grown(told) : []
  const end = finish(job, { state, output, reason, keepMs, followUps })
  const [answer] = await client.settle([end])
  if (answer !== 'settled') return
  for (const added of followUps) {
    told.byId.set(added.id, added)
    told.added.add(added.id)
  }
  told.ended.set(job.id, { state, output })
  if (keepMs === 0) told.gone.add(job.id)
}

/** A node that holds back the last one. */
function grown({ last }: Told): readonly NewJob[] {
  const holds = [{ id: last, onFailed: 'run', output: 'keep' }] as const
  return [newJob({ group: 'graph', queue: 'queue1', keepCancelledMs: null, holds })]
}

/** All that a claimed job needs has ended as its edges ask, and it is told how. */
function checkNeeded(job: ClaimedJob, told: Told): void {
  const { byId, ended, gone, isRetried } = told
  const { needed } = job
  assert.ok(typeof needed !== 'string', 'these outputs are small')
  const needs = byId.get(job.id)?.needs ?? []
  if (job.id !== told.last) assert.equal(needed.length, needs.length, `needs of ${job.id}`)
  else if (!isRetried) {
    for (const id of told.added)
      assert.ok(needed.find((one) => one.id === id)?.state, `the last one waits for ${id}`)
  }
  for (const { id, onFailed, output } of needs) {
    const found: NeededJob | undefined = needed.find((one) => one.id === id)
    // Nothing is kept of a job that ended when nobody waited for it any more.
    if (isRetried && found?.state === null && gone.has(id)) continue
    assert.ok(found?.state, `${job.id} was claimed before ${id} had ended`)
    if (onFailed !== 'run' && !isRetried) assert.equal(found.state, 'completed', `need ${id}`)
    const end = ended.get(id)
    if (end === undefined || isRetried) continue
    assert.equal(found.state, end.state, `how ${id} ended`)
    assert.equal(found.output, output === 'hand' ? end.output : null, `output of ${id}`)
  }
}

function checkEnd(job: StoredJob, { byId, ended, claimed, cancelled }: Told): void {
  const bad = (byId.get(job.id)?.needs ?? []).filter(
    ({ id, onFailed }) => onFailed !== 'run' && (ended.get(id)?.state ?? 'failed') !== 'completed',
  )
  if (bad.length > 0) {
    assert.ok(!claimed.has(job.id), `${job.id} ran without ${bad[0]?.id}`)
    assert.ok(job.reason === 'need-failed' || cancelled.has(job.id), `reason of ${job.id}`)
  } else if (!cancelled.has(job.id)) {
    assert.equal(job.state, ended.get(job.id)?.state, `state of ${job.id}`)
  }
}

async function all(store: Store, jobs: readonly NewJob[]): Promise<readonly (StoredJob | null)[]> {
  return store.get(jobs.map(({ id }) => id))
}

/** Counters agree with what is there. */
async function checkCounts(scene: Scene): Promise<void> {
  const { jobs, counts } = await scene.picture()
  const byState = Map.groupBy(jobs, ({ queue, state }) => `${queue} ${state}`)
  const counted = [...byState].map(([name, some]) => `${name} ${some.length}`).sort()
  assert.deepEqual(counts, counted, 'counts')
}
