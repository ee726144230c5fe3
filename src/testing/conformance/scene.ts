/** A store in the middle of a rule: one client, time to move, and the calls that rules make most. */
import assert from 'node:assert/strict'
import type { LogLine } from '../../core/job.ts'
import type { ClaimedJob, NewJob, StoredJob } from '../../store/job.ts'
import type {
  ClaimRequest,
  RescueRequest,
  SettleAnswer,
  Settlement,
} from '../../store/worker-calls.ts'
import type { InsertAnswer } from '../../store/intake.ts'
import type { Store } from '../../store/store.ts'
import type { Spoiled, StoreFixture, StoreHarness } from './harness.ts'
import { patient } from './patient.ts'
import { requeue, claimOf, counted, rescueOf, leaseMs, newJob } from './jobs.ts'

/** All that can be seen of a store's jobs. */
export interface Picture {
  readonly jobs: readonly StoredJob[]
  readonly counts: readonly string[]
  readonly logs: readonly (readonly LogLine[])[]
}

export class Scene {
  readonly store: Store
  readonly slackMs: number
  readonly rounds: number
  readonly #fixture: StoreFixture

  constructor(fixture: StoreFixture, harness: StoreHarness) {
    this.store = patient(fixture.store)
    this.slackMs = harness.slackMs ?? 0
    this.rounds = harness.rounds ?? 20
    this.#fixture = fixture
  }

  /** One more client of the same data. */
  async another(): Promise<Store> {
    return patient(await this.#fixture.another())
  }

  async clients(count: number): Promise<Store[]> {
    const stores: Store[] = []
    for (let made = 0; made < count; made += 1) stores.push(await this.another())
    return stores
  }

  advance(ms: number): Promise<void> {
    return this.#fixture.advance(ms)
  }

  /** Writes over a stored job what cannot be read; answers false, having done nothing, for a store that nobody else can reach. */
  async spoil(id: string, what: Spoiled): Promise<boolean> {
    await this.#fixture.spoil?.(id, what)
    return this.#fixture.spoil !== undefined
  }

  /** The store's time. */
  async now(): Promise<number> {
    return (await this.store.claim(claimOf({ queues: [], limit: 0 }))).now
  }

  /** Inserts one job, which must be new, and answers its id. */
  async enqueue(over: Partial<NewJob> = {}): Promise<string> {
    const job = newJob(over)
    assert.deepEqual(await this.store.insert([job]), [
      { id: job.id, status: 'created', token: null },
    ])
    return job.id
  }

  /** The job as it is stored, which it must be. */
  async job(id: string): Promise<StoredJob> {
    const [job] = await this.store.get([id])
    assert.ok(job, `job ${id} is not known`)
    return job
  }

  async isKnown(id: string): Promise<boolean> {
    return (await this.store.get([id]))[0] !== null
  }

  async claim(over: Partial<ClaimRequest> = {}): Promise<readonly ClaimedJob[]> {
    return (await this.store.claim(claimOf(over))).jobs
  }

  async claimIds(over: Partial<ClaimRequest> = {}): Promise<string[]> {
    return (await this.claim(over)).map((job) => job.id)
  }

  /** Claims exactly one job. */
  async claimOne(over: Partial<ClaimRequest> = {}): Promise<ClaimedJob> {
    return only(await this.claim({ limit: 1, maxLosses: 1_000, ...over }))
  }

  /** Inserts a job and claims it; nothing else may be ready in its queue before it. */
  async running(over: Partial<NewJob> = {}): Promise<ClaimedJob> {
    const id = await this.enqueue(over)
    const job = await this.claimOne({ queues: [{ name: over.queue ?? 'queue', limit: 1 }] })
    assert.equal(job.id, id)
    return job
  }

  /** Puts a running job back as lost, so that it is a suspect and ready. */
  async makeSuspect(job: ClaimedJob, losses = 1): Promise<void> {
    const counters = counted({ attempts: losses, losses })
    assert.equal(
      await this.settle(requeue(job, { counters, started: true, suspect: true })),
      'settled',
    )
  }

  async sweep(over: Partial<RescueRequest> = {}): Promise<readonly ClaimedJob[]> {
    return (await this.store.rescue(rescueOf(over))).jobs
  }

  /** Lets the lease pass and hands the one job that is lost to a sweeper. */
  async rescue(over: Partial<RescueRequest> = {}): Promise<ClaimedJob> {
    await this.advance(leaseMs + 1)
    return only(await this.sweep(over))
  }

  async settle(settlement: Settlement): Promise<SettleAnswer> {
    return only(await this.store.settle([settlement]))
  }

  /** Inserts with a unique rule and tells whether that made a job. */
  async tryInsert(over: Partial<NewJob>): Promise<InsertAnswer['status']> {
    return only(await this.store.insert([newJob(over)])).status
  }

  /** Times are equal but for the store's slack. */
  near(actual: number | null, expected: number | null, what = 'time'): void {
    if (actual === null || expected === null) return assert.equal(actual, expected, what)
    const off = Math.abs(actual - expected)
    assert.ok(
      off <= this.slackMs,
      `${what} is ${actual}, ${actual - expected} ms off from ${expected}`,
    )
  }

  /** The job has these fields; times may be off by the store's slack. */
  async shows(id: string, fields: Partial<StoredJob>): Promise<void> {
    this.same(await this.job(id), fields)
  }

  /** Compares the given fields of a job; times may be off by the store's slack. */
  same(job: StoredJob, fields: Partial<StoredJob>): void {
    for (const [name, expected] of Object.entries(fields)) {
      const actual: unknown = job[name as keyof StoredJob]
      if (timeFields.includes(name))
        this.near(actual as number | null, expected as number | null, name)
      else assert.deepEqual(actual, expected, `${name} of the ${job.state} job`)
    }
  }

  /** All that can be seen of the jobs: for proving that a call changed nothing. */
  async picture(): Promise<Picture> {
    const jobs: StoredJob[] = []
    let after: string | null = null
    do {
      const page = await this.store.list({ limit: 1_000, ...(after === null ? {} : { after }) })
      jobs.push(...page.jobs)
      after = page.next
    } while (after !== null)
    const counts = (await this.store.counts()).map(
      ({ queue, state, count }) => `${queue} ${state} ${count}`,
    )
    const logs: (readonly LogLine[])[] = []
    for (const job of jobs) logs.push(await this.store.logs(job.id))
    return { jobs, counts: counts.sort(), logs }
  }

  /** Runs the call and proves that it changed nothing. */
  async changesNothing<T>(call: () => Promise<T>): Promise<T> {
    const before = await this.picture()
    const answer = await call()
    const after = await this.picture()
    if (this.slackMs === 0) assert.deepEqual(after, before)
    assert.deepEqual({ ...after, jobs: [] }, { ...before, jobs: [] })
    assert.equal(after.jobs.length, before.jobs.length)
    for (const [index, job] of after.jobs.entries()) this.same(job, before.jobs[index] as StoredJob)
    return answer
  }
}

/** The only element of a list, which must have exactly one. */
export function only<T>(list: readonly T[]): T {
  assert.equal(list.length, 1, `one element, not ${list.length}`)
  return list[0] as T
}

const timeFields = [
  'createdAt',
  'dueAt',
  'startBy',
  'deadlineAt',
  'leaseUntil',
  'startedAt',
  'finishedAt',
  'expiresAt',
]
