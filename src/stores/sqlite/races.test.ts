/**
 * What must come out when two processes do something to the same job at the same moment. Both children spin until the same
 * instant of the clock before each round.
 */
import assert from 'node:assert/strict'
import { fork, type ChildProcess } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { v7 } from 'uuid'
import { isFull } from '../../../test/full.ts'
import type { LeaseRef } from '../../store/worker-calls.ts'
import type { Store } from '../../store/store.ts'
import {
  requeue,
  claimOf,
  rescueOf,
  finish,
  newJob,
  unique,
} from '../../testing/conformance/jobs.ts'
import { sqlite } from './index.ts'

const rounds = isFull ? 1_000 : 300
const periodMs = 2
const jitterMs = 0.2

/** What a round is about: one job, or what is to become one. */
interface Subject {
  /** The round's number as text: its queue, task and unique key. */
  readonly name: string
  readonly id: string
  readonly token: number
  readonly followUp: string
}

interface Race {
  /** How the job of a round stands before. */
  readonly start: 'none' | 'ready' | 'running' | 'expired' | 'completed' | 'failed'
  /** What each of the two does. */
  readonly sides: readonly [Side, Side]
  /** Checks their answers, and how the job stands after. */
  check(answers: readonly [unknown, unknown], subject: Subject, store: Store): Promise<void> | void
}

type Side = (store: Store, subject: Subject) => Promise<unknown>

const claimOne: Side = async (store, { name }) => {
  const { jobs } = await store.claim(claimOf({ queues: [{ name, limit: 1 }] }))
  return jobs.map((job) => job.token)
}
const takeOne: Side = async (store, { id }) => (await store.take([id]))[0]?.id ?? null
const insertUnique: Side = async (store, { name }) =>
  (await store.insert([newJob({ unique: unique(name) })]))[0]
const settleWithFollowUp: Side = async (store, { id, token, followUp }) =>
  (
    await store.settle([
      finish({ id, token }, { followUps: [newJob({ id: followUp, parent: id })] }),
    ])
  )[0]

const races: Readonly<Record<string, Race>> = {
  'of two claimers one gets the job': {
    start: 'ready',
    sides: [claimOne, claimOne],
    check: ([a, b]) => assert.equal((a as number[]).length + (b as number[]).length, 1),
  },
  'a lost job is settled by its old worker or rescued, never both': {
    start: 'expired',
    sides: [
      async (store, lease) => (await store.settle([finish(lease)]))[0],
      async (store, { name, token }) => {
        const [job] = (await store.rescue(rescueOf({ tasks: [name] }))).jobs
        if (job === undefined) return 'nothing'
        assert.ok(job.token > token)
        return (await store.settle([requeue(job)]))[0]
      },
    ],
    async check([zombie, rescue], { id }, store) {
      assert.ok(
        ['settled nothing', 'stale settled'].includes(`${String(zombie)} ${String(rescue)}`),
      )
      const state = (await store.get([id]))[0]?.state
      assert.equal(state, zombie === 'settled' ? 'completed' : 'ready')
    },
  },
  'a cancel comes before a settlement that yields, or too late': {
    start: 'running',
    sides: [
      async (store, lease) => (await store.settle([finish(lease, { yieldsToCancel: true })]))[0],
      async (store, { id }) => (await store.cancel([id], 'enough'))[0],
    ],
    check: ([settled, cancelled]) =>
      assert.ok(
        ['settled final', 'cancel-asked asked'].includes(`${String(settled)} ${String(cancelled)}`),
      ),
  },
  'of two inserts with one key one makes a job': {
    start: 'none',
    sides: [insertUnique, insertUnique],
    check([a, b]) {
      const [created, duplicate] = [a, b].sort(byStatus) as [Answer, Answer]
      assert.deepEqual([created.status, duplicate.status], ['created', 'duplicate'])
      assert.equal(duplicate.id, created.id)
    },
  },
  'a settlement that is sent twice is accepted once': {
    start: 'running',
    sides: [settleWithFollowUp, settleWithFollowUp],
    async check(answers, { id, followUp }, store) {
      assert.deepEqual(answers, ['settled', 'settled'])
      const { jobs } = await store.list({ parent: id, limit: 10 })
      assert.deepEqual(
        jobs.map((job) => job.id),
        [followUp],
      )
    },
  },
  'of two takers one gets the job': {
    start: 'completed',
    sides: [takeOne, takeOne],
    async check(answers, { id }, store) {
      assert.deepEqual(new Set(answers), new Set([id, null]))
      assert.deepEqual(await store.get([id]), [null])
    },
  },
  'a failed job is retried once, or claimed by nobody before': {
    start: 'failed',
    sides: [async (store, { id }) => (await store.retry([id]))[0], claimOne],
    check: ([retried, tokens]) => {
      assert.equal(retried, 'retried')
      assert.ok((tokens as number[]).length <= 1)
    },
  },
  'a waiting job is claimed and asked to end, or cancelled and never claimed': {
    start: 'ready',
    sides: [claimOne, async (store, { id }) => (await store.cancel([id], null))[0]],
    check: ([tokens, cancelled]) =>
      assert.equal((tokens as number[]).length, cancelled === 'asked' ? 1 : 0),
  },
}

interface Answer {
  readonly id: string
  readonly status: string
}

function byStatus(a: unknown, b: unknown): number {
  return (a as Answer).status < (b as Answer).status ? -1 : 1
}

const [role, childFile, childRace, childSide] = process.argv.slice(2)
if (role === 'race' && childFile && childRace) await play(childFile, childRace, Number(childSide))
else {
  for (const [name, race] of Object.entries(races))
    void test(`${name} (two processes, ${rounds} times)`, () => run(name, race))
}

/** A child: plays one side of all rounds and tells the answers. */
async function play(file: string, name: string, side: number): Promise<void> {
  const store = sqlite(file)
  await store.setup()
  const ordered = new Promise((resolve) => process.once('message', resolve))
  process.send?.('ready')
  const { subjects, start } = (await ordered) as { subjects: readonly Subject[]; start: number }
  const act = races[name]?.sides[side]
  const answers: unknown[] = []
  for (const [round, subject] of subjects.entries()) {
    await new Promise((resolve) => setImmediate(resolve))
    const at = start + round * periodMs + Math.random() * jitterMs
    while (performance.timeOrigin + performance.now() < at);
    answers.push(await act?.(store, subject))
  }
  await store.close()
  process.send?.(answers, () => process.disconnect?.())
}

async function run(name: string, race: Race): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'errand-sqlite-'))
  const file = join(folder, 'jobs.db')
  const store = sqlite(file)
  const children: ChildProcess[] = []
  try {
    const subjects = await prepare(store, race.start)
    const env = { ...process.env }
    delete env['NODE_TEST_CONTEXT']
    for (const side of ['0', '1'])
      children.push(fork(import.meta.filename, ['race', file, name, side], { env }))
    const heard = (child: ChildProcess): Promise<unknown> =>
      new Promise((resolve, reject) => {
        child.once('message', resolve)
        child.once('exit', () => reject(new Error('A child ended.')))
      })
    await Promise.all(children.map(heard))
    const results = Promise.all(children.map(heard))
    for (const child of children) child.send({ subjects, start: Date.now() + 20 })
    const [a, b] = (await results) as [unknown[], unknown[]]
    for (const [round, subject] of subjects.entries())
      await race.check([a[round], b[round]], subject, store)
  } finally {
    for (const child of children) child.kill('SIGKILL')
    await store.close()
    await rm(folder, { recursive: true })
  }
}

/** Makes the jobs of all rounds, as they stand before. */
async function prepare(store: Store, start: Race['start']): Promise<readonly Subject[]> {
  const subjects = Array.from({ length: rounds }, (_, round) => ({
    name: `round ${round}`,
    id: v7(),
    token: 0,
    followUp: v7(),
  }))
  if (start === 'none') return subjects
  const isLeased = start !== 'ready'
  const leaseMs = start === 'expired' ? 0 : 60_000
  const entry = { kind: 'running', worker: 'worker', leaseMs } as const
  const inserted = await store.insert(
    subjects.map(({ id, name }) =>
      newJob({ id, task: name, queue: name, entry: isLeased ? entry : null }),
    ),
  )
  const leases: LeaseRef[] = inserted.map(({ id, token }) => ({ id, token: token ?? 0 }))
  if (start === 'completed' || start === 'failed')
    await store.settle(leases.map((one) => finish(one, { state: start })))
  return subjects.map((subject, round) => ({ ...subject, token: leases[round]?.token ?? 0 }))
}
