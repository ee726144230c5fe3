/** How many rows the calls on the way of a job read, whatever the planner has been told of the tables: few, from indexes. */
import assert from 'node:assert/strict'
import test from 'node:test'
import pg from 'pg'
import { findPostgres } from '../../../test/postgres-server.ts'
import {
  requeue,
  claimOf,
  rescueOf,
  finish,
  newJob,
  unique,
  workerOf,
} from '../../testing/conformance/jobs.ts'
import type { Store } from '../../store/store.ts'
import { postgres } from './index.ts'

const server = await findPostgres()
/** Jobs of each kind that are there: walking over them shows. */
const many = 5_000
/** How many rows of one table a call on a hundred jobs may read in order, and by its indexes. */
const few = 100
const fewByIndex = 1_000

/** What the planner believes when it plans. */
const beliefs: Readonly<
  Record<string, { readonly before: string | null; readonly after: string | null }>
> = {
  'nothing was ever analyzed': { before: null, after: null },
  'the tables were empty when they were vacuumed and the plans were made': {
    before: 'VACUUM ANALYZE',
    after: null,
  },
  'the tables were analyzed as they are': { before: null, after: 'VACUUM ANALYZE' },
}

if (server !== null) {
  test.after(() => server.stop())

  test('postgres: a claim takes its queues in the order of the call, whichever table the planner begins with', async () => {
    const name = `order_${process.pid}`
    const admin = new pg.Client(server.url)
    await admin.connect()
    await admin.query(`CREATE DATABASE ${name}`)
    const url = new URL(`/${name}`, server.url).href
    const store = postgres(url, { listen: false })
    const queues = ['a', 'b', 'c']
    try {
      await store.insert([newJob({ queue: 'elsewhere' })])
      const other = new pg.Client(url)
      await other.connect()
      await other.query('VACUUM ANALYZE')
      await other.end()
      await store.insert(queues.map((queue) => newJob({ queue })))
      const { jobs } = await store.claim(
        claimOf({ queues: queues.toReversed().map((queue) => ({ name: queue, limit: 1 })) }),
      )
      assert.deepEqual(
        jobs.map(({ queue }) => queue),
        queues.toReversed(),
      )
    } finally {
      await store.close()
      await admin.query(`DROP DATABASE ${name}`)
      await admin.end()
    }
  })

  let databases = 0
  for (const [belief, { before, after }] of Object.entries(beliefs)) {
    test(`postgres: no call on the way of a job walks over what waits, runs or is over: ${belief}`, async () => {
      const name = `plans_${process.pid}_${(databases += 1)}`
      const admin = new pg.Client(server.url)
      await admin.connect()
      await admin.query(`CREATE DATABASE ${name}`)
      const url = new URL(`/${name}`, server.url).href
      const filler = postgres(url)
      await filler.setup()
      const other = new pg.Client(url)
      const client = new pg.Client(url)
      await Promise.all([other.connect(), client.connect()])
      const store = postgres(client, { listen: false })
      try {
        if (before !== null) {
          await other.query(before)
          for (let round = 0; round < 7; round += 1) await calls(store)
        }
        await fill(filler)
        if (after !== null) await other.query(after)
        const walked: string[] = []
        for (const [call, make] of await steps(store)) {
          await client.query('BEGIN')
          const earlier = await readSoFar(client)
          await make()
          for (const [table, { seq, index }] of await readSoFar(client)) {
            const before = earlier.get(table) ?? { seq: 0, index: 0 }
            if (seq - before.seq <= few && index - before.index <= fewByIndex) continue
            walked.push(
              `${call} read ${seq - before.seq} rows of ${table} in order, ${index - before.index} by index`,
            )
          }
          await client.query('COMMIT')
        }
        assert.deepEqual(walked, [])
      } finally {
        await Promise.all([client.end(), other.end(), store.close(), filler.close()])
        await admin.query(`DROP DATABASE ${name}`)
        await admin.end()
      }
    })
  }
}

interface Read {
  readonly seq: number
  readonly index: number
}

/**
 * What this session has read since it last told, which is not in the middle of a transaction. What runs now, and the changes of counts
 * that were not summed up yet, are little, and are looked through.
 */
const READ = `SELECT relname, seq_tup_read, idx_tup_fetch FROM pg_stat_xact_user_tables WHERE schemaname = 'errand'
  AND relname <> ALL ('{running,tally}')`

async function readSoFar(client: pg.Client): Promise<ReadonlyMap<string, Read>> {
  const { rows } = await client.query<[string, string, string | null]>({
    text: READ,
    rowMode: 'array',
  })
  return new Map(
    rows.map(([table, seq, index]) => [table, { seq: Number(seq), index: Number(index) }]),
  )
}

type Step = readonly [name: string, make: () => Promise<unknown>]

/** A round of calls, each on up to a hundred jobs. */
async function steps(store: Store): Promise<readonly Step[]> {
  const claim = (maxLosses: number | null) => async (): Promise<void> => {
    const { jobs } = await store.claim(
      claimOf({ queues: [{ name: 'queue', limit: 100 }], limit: 100, maxLosses }),
    )
    held.push(...jobs)
  }
  const repeated = claimOf({ queues: [{ name: 'queue', limit: 50 }], limit: 50, id: newJob().id })
  const grouped: string[] = []
  const held: Awaited<ReturnType<Store['claim']>>['jobs'][number][] = []
  return [
    ['insert of one', () => store.insert([newJob()])],
    ['insert of many', () => store.insert(Array.from({ length: 100 }, () => newJob()))],
    [
      'insert of a unique one',
      () => store.insert([newJob({ unique: unique(`key ${Math.random()}`) })]),
    ],
    [
      'insert of a group with an advance',
      async () => {
        const jobs = Array.from({ length: 20 }, () => newJob({ group: 'few' }))
        const advance = jobs.map(({ id }) => ({
          key: `mark ${id}`,
          from: null,
          to: '1',
          jobs: [id],
        }))
        await store.insert(jobs, { advance })
        grouped.push(...jobs.map(({ id }) => id))
      },
    ],
    ['claim', claim(null)],
    ['claim that may be repeated', async () => void (await store.claim(repeated))],
    ['repeated claim', async () => void held.push(...(await store.claim(repeated)).jobs)],
    ['claim of one that was lost', claim(3)],
    ['renew', () => store.renew(held, 600_000)],
    [
      'note',
      () =>
        store.note(
          held.slice(0, 1).map(({ id, token }) => ({ kind: 'start', id, token, agoMs: 0 })),
        ),
    ],
    [
      'record',
      () =>
        store.record(
          held.slice(0, 1).map(({ id, token }) => ({ id, token, name: 'step', text: '1' })),
        ),
    ],
    ['settle of a failed one', () => store.settle(held.splice(0, 1).map((job) => requeue(job)))],
    ['settle of few', () => store.settle(held.splice(0, 3).map((job) => finish(job)))],
    ['settle of many', () => store.settle(held.splice(0, 50).map((job) => finish(job)))],
    [
      'settle of what is not kept',
      () => store.settle(held.splice(0).map((job) => finish(job, { keepMs: 0 }))),
    ],
    ['records by prefix', () => store.listRecords({ prefix: 'a/', after: 'a/5', limit: 10 })],
    [
      'write of records',
      () =>
        store.putRecords([
          { key: 'a/7', text: '2', if: 'x' },
          { key: 'c/0', text: null },
        ]),
    ],
    ['list of a group', () => store.list({ group: 'few', limit: 10 })],
    ['list of blocked ones', () => store.list({ states: ['blocked'], limit: 10 })],
    ['statistics', () => store.stats()],
    ['get', () => store.get(grouped)],
    ['rescue', () => store.rescue(rescueOf())],
    ['tend', () => store.tend(workerOf())],
  ]
}

async function calls(store: Store): Promise<void> {
  for (const [, make] of await steps(store)) await make()
}

/** Jobs that wait, are due later, run, and are over: one by one and in batches. */
async function fill(store: Store): Promise<void> {
  const batches = async (over: Parameters<typeof newJob>[0]): Promise<void> => {
    for (let count = 0; count < many; count += 1_000) {
      await store.insert(
        Array.from({ length: 1_000 }, (_, at) => newJob({ priority: at % 2, ...over })),
      )
    }
  }
  await batches({ delayMs: 3_600_000 })
  await batches({ queue: 'running' })
  await batches({ queue: 'over' })
  for (const queue of ['running', 'over']) {
    for (let count = 0; count < many; count += 1_000) {
      const { jobs } = await store.claim(
        claimOf({ queues: [{ name: queue, limit: 1_000 }], limit: 1_000, leaseMs: 3_600_000 }),
      )
      if (queue === 'over')
        await store.settle(
          jobs.map((job, at) => finish(job, { reason: at % 2 === 0 ? null : 'odd' })),
        )
      else await store.renew(jobs.slice(0, 300), 3_600_000)
    }
  }
  await batches({ group: 'many' })
  const needed = newJob({ delayMs: 3_600_000 })
  const needs = [{ kind: 'job', id: needed.id, onFailed: 'cancel' }] as const
  await store.insert([
    needed,
    ...Array.from({ length: 1_200 }, () => newJob({ queue: 'blocked', needs })),
  ])
  const keys = (prefix: string): string[] =>
    Array.from({ length: 1_000 }, (_, at) => `${prefix}/${at}`)
  for (const prefix of ['a', 'b', 'c'])
    await store.putRecords(keys(prefix).map((key) => ({ key, text: 'x' })))
}
