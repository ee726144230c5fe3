/** Several clients at everything at once, with a ledger that is balanced at the end. */
import assert from 'node:assert/strict'
import type { ClaimedJob } from '../../store/job.ts'
import type { Store } from '../../store/store.ts'
import type { Rule } from './harness.ts'
import { requeue, claimOf, rescueOf, finish, leaseMs, newJob, unique } from './jobs.ts'
import { rulesOf } from './rule.ts'
import type { Scene } from './scene.ts'

/** What the clients were told. */
interface Ledger {
  readonly inserted: Set<string>
  /** Accepted endings by job. */
  readonly ended: Map<string, number>
  /** Tokens by job, in the order in which they were handed out. */
  readonly tokens: Map<string, number[]>
}

export const soakRules: readonly Rule[] = rulesOf('races', {
  'whatever clients do at once, each job ends once, tokens only grow, follow-ups come once': async (
    scene,
  ) => {
    const seed = Math.floor(Math.random() * 2 ** 32)
    try {
      await soak(scene, randomFrom(seed))
    } catch (error) {
      throw new assert.AssertionError({ message: `seed ${seed}: ${String(error)}` })
    }
  },
})

async function soak(scene: Scene, random: () => number): Promise<void> {
  const ledger: Ledger = { inserted: new Set(), ended: new Map(), tokens: new Map() }
  const clients = await scene.clients(4)
  for (let round = 0; round < scene.rounds; round += 1) {
    await Promise.all(clients.map((client) => act(client, ledger, random)))
    await scene.advance(Math.floor(random() * leaseMs))
  }
  for (let turn = 0; turn < 1_000; turn += 1) {
    await scene.advance(leaseMs + 1)
    const left = await Promise.all(clients.map((client) => work(client, ledger, () => 1)))
    if (left.every((count) => count === 0)) break
  }
  for (const [id, tokens] of ledger.tokens) {
    assert.deepEqual(
      tokens,
      [...new Set(tokens)].sort((a, b) => a - b),
      `tokens of ${id}`,
    )
  }
  const { jobs } = await scene.picture()
  for (const job of jobs) {
    assert.equal(job.state, 'completed', `job ${job.id} is ${job.state}`)
    assert.equal(ledger.ended.get(job.id), 1, `job ${job.id} was ended once`)
    assert.ok(ledger.inserted.delete(job.id), `job ${job.id} was asked for`)
  }
  assert.equal(ledger.inserted.size, 0, `no job is missing`)
}

async function act(client: Store, ledger: Ledger, random: () => number): Promise<void> {
  const batch = Array.from({ length: 3 }, (_, n) =>
    newJob({
      queue: random() < 0.5 ? 'queue' : 'second',
      priority: Math.floor(random() * 3),
      delayMs: random() < 0.3 ? leaseMs / 2 : 0,
      unique: n === 0 ? unique(`k${Math.floor(random() * 3)}`) : null,
    }),
  )
  const answers = await client.insert(batch)
  if (random() < 0.3) await client.insert(batch.slice(1))
  for (const { id, status } of answers) if (status === 'created') ledger.inserted.add(id)
  await work(client, ledger, random)
}

/** Sweeps, claims and settles; below 0.2 `random` abandons a job, below 0.5 it puts one back. */
async function work(client: Store, ledger: Ledger, random: () => number): Promise<number> {
  const swept = await client.rescue(rescueOf({ limit: 5 }))
  const claimed = await client.claim(
    claimOf({
      queues: [{ name: 'queue', limit: 3 }],
      others: 3,
      limit: 5,
      maxLosses: 99,
      id: null,
    }),
  )
  for (const job of [...swept.jobs, ...claimed.jobs]) {
    const tokens = ledger.tokens.get(job.id)
    if (tokens === undefined) ledger.tokens.set(job.id, [job.token])
    else tokens.push(job.token)
  }
  await Promise.all(
    [...swept.jobs, ...claimed.jobs].map((job) => settle(client, job, ledger, random)),
  )
  return swept.jobs.length + claimed.jobs.length
}

async function settle(
  client: Store,
  job: ClaimedJob,
  ledger: Ledger,
  random: () => number,
): Promise<void> {
  const chance = random()
  if (chance < 0.2) return
  const followUps = random() < 0.2 ? [newJob({ parent: job.id })] : []
  const settlement =
    chance < 0.5
      ? requeue(job, { suspect: job.why === 'lost', delayMs: chance < 0.35 ? 0 : 1_000, followUps })
      : finish(job, { keepMs: null, followUps })
  const [answer] = await client.settle([settlement])
  // Only the last accepted settlement is remembered: a job that was put back may have been settled anew meanwhile.
  const isLast = answer === 'settled' && settlement.kind === 'finish'
  if (random() < 0.3) {
    const [repeated] = await client.settle([settlement])
    if (isLast || answer === 'stale') assert.equal(repeated, answer)
  }
  if (answer !== 'settled') return
  for (const { id } of followUps) ledger.inserted.add(id)
  if (settlement.kind === 'finish') ledger.ended.set(job.id, (ledger.ended.get(job.id) ?? 0) + 1)
}

/** Mulberry32. */
export function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
