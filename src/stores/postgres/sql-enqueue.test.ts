/** Whoever enqueues by a task's name gets the same job, in TypeScript and in SQL. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { findPostgres, query } from '../../../test/postgres-server.ts'
import { createErrand, task, type AnyTask } from '../../index.ts'
import type { StoredJob } from '../../store/job.ts'
import { postgres } from './index.ts'

const server = await findPostgres()
const schema = 'sql_enqueue'
const run = (): void => {}

/** Tasks whose options hold at enqueue. */
const tasks: readonly AnyTask[] = [
  task({ name: 'sql bare', run }),
  task({
    name: 'sql bounded',
    queue: 'sql queue',
    priority: 7,
    startWithin: '2m',
    deadline: '1h',
    retention: { cancelled: '3d' },
    run,
  }),
  task({ name: 'sql aged', queue: 'sql ageing', priority: 4, run }),
  task({ name: 'sql aged for itself', queue: 'sql ageing', run }),
  task({ name: 'sql kept', retention: { cancelled: 'forever' }, run }),
  task({ name: 'sql: "keyed" 100%', unique: { key: 'one', for: '5m', during: ['ready'] }, run }),
  task({
    name: 'sql replacing',
    aliases: ['sql old name'],
    unique: { key: 'k'.repeat(300), onConflict: 'replace', maxWait: '1m' },
    run,
  }),
]
const byInput: readonly AnyTask[] = [
  task({ name: 'sql by hash', unique: true, run }),
  task({ name: 'sql by function', unique: { key: () => 'x' }, run }),
]

if (server !== null) {
  const { url } = server
  const store = postgres(url, { schema })
  const owner = createErrand({
    store,
    tasks: [...tasks, ...byInput],
    queues: {
      'sql queue': { priority: 3, deadline: '2h' },
      'sql ageing': { ageing: '1m', deadline: '3h' },
    },
  })
  const producer = createErrand({ store: postgres(url, { schema }) })
  test.after(async () => {
    await producer.close()
    await owner.close()
    await query(url, `DROP SCHEMA ${schema} CASCADE`)
    await server.stop()
  })

  const enqueue = (name: string, options: object = {}): Promise<string> =>
    query(url, `SELECT ${schema}.enqueue($1, '{"a": [1]}', $2) AS id`, [
      name,
      JSON.stringify(options),
    ]).then(([row]) => String(row?.['id']))

  test.before(async () => {
    // A worker registers the tasks.
    const worker = owner.worker({ queues: ['default'] })
    await worker.start()
    await worker.stop()
  })

  test('postgres: errand.enqueue stores what enqueue by name stores', async () => {
    const names = [...tasks.map(({ definition }) => definition.name), 'sql old name']
    for (const name of names) {
      const jobs: object[] = []
      for (const make of [
        async () => (await producer.enqueue(name, { a: [1] })).id,
        () => enqueue(name),
      ]) {
        const id = await make()
        jobs.push(await seen(id))
        await store.remove([id])
      }
      assert.deepEqual(jobs[1], jobs[0], name)
    }
    const bounded = await seen(await enqueue('sql bounded'))
    assert.deepEqual(
      [bounded['queue'], bounded['priority'], bounded['startsWithin'], bounded['keep']],
      ['sql queue', 7, 120_000, String(3 * 86_400_000)],
    )
    const given = await seen(await enqueue('sql bounded', { priority: -1, startWithinMs: 5 }))
    assert.deepEqual([given['priority'], given['startsWithin']], [-1, 5])
    const aged = await seen(await enqueue('sql aged', { priority: 2 }))
    assert.deepEqual([aged['behind'], aged['endsWithin']], ['120000', 3 * 3_600_000])
    const elsewhere = await seen(await enqueue('sql aged', { queue: 'sql other' }))
    assert.deepEqual([elsewhere['priority'], elsewhere['behind']], [4, '0'])
  })

  test('postgres: errand.enqueue upholds the rule of a registered task', async () => {
    const first = await enqueue('sql: "keyed" 100%')
    assert.equal(await enqueue('sql: "keyed" 100%'), first)
    const again = await producer.enqueue('sql: "keyed" 100%', {})
    assert.deepEqual([again.id, again.inserted], [first, 'duplicate'])
    assert.notEqual(await enqueue('sql: "keyed" 100%', { uniqueKey: false }), first)
    const waiting = await producer.enqueue('sql replacing', { old: true }, { delay: '1h' })
    assert.equal(await enqueue('sql old name', { delayMs: 5 }), waiting.id)
    assert.deepEqual((await store.get([waiting.id]))[0]?.input, '{"a": [1]}')
  })

  test('postgres: errand.enqueue refuses a job whose key follows from its input, unless it is given one or none', async () => {
    for (const name of ['sql by hash', 'sql by function']) {
      await assert.rejects(enqueue(name), { code: '22023', message: /follows from its input/ })
      const id = await enqueue(name, { uniqueKey: 'own' })
      assert.equal((await store.get([id]))[0]?.uniqueKey, `${name}:own`)
      const free = await enqueue(name, { uniqueKey: false })
      assert.equal((await store.get([free]))[0]?.uniqueKey, null)
    }
  })

  /** All of a job but its id and what time it is. */
  async function seen(id: string): Promise<Record<string, unknown>> {
    const [job] = await store.get([id])
    assert.ok(job)
    const [row] = await query(
      url,
      `SELECT keep_cancelled_ms, start_within_ms, deadline_ms, unique_during, unique_until - created_at AS unique_for,
         (unique_until = 0) AS unfixed, head_start_ms, place - due_at AS behind, suspect, labels, attempts FROM ${schema}.jobs WHERE id = $1`,
      [id],
    )
    const { createdAt, dueAt, startBy, deadlineAt, input, ...rest }: StoredJob = job
    const kept = row?.['unfixed'] === true ? { ...row, unique_for: null } : row
    return {
      ...rest,
      ...kept,
      id: null,
      input: JSON.parse(input) as unknown,
      wait: dueAt - createdAt,
      startsWithin: startBy === null ? null : startBy - dueAt,
      endsWithin: deadlineAt === null ? null : deadlineAt - createdAt,
      keep: row?.['keep_cancelled_ms'],
    }
  }
}
