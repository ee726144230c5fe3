/** Ordinary jobs that are inserted along with others. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { findPostgres, query } from '../../../test/postgres-server.ts'
import type { NewJob } from '../../store/job.ts'
import { claimOf, newJob, unique } from '../../testing/conformance/jobs.ts'
import { memory } from '../memory/index.ts'
import { postgres } from './index.ts'

const server = await findPostgres()

if (server !== null) {
  const { url } = server
  const schema = 'ordinary_among_others'
  const store = postgres(url, { schema })
  test.after(async () => {
    await store.close()
    await query(url, `DROP SCHEMA ${schema} CASCADE`)
    await server.stop()
  })

  test('postgres: ordinary jobs that come along with others stand in runs, each counted once', async () => {
    const ordinary = Array.from({ length: 100 }, () => newJob())
    const [needed] = ordinary
    assert.ok(needed)
    const needing = newJob({ needs: [{ kind: 'job', id: needed.id, onFailed: 'cancel' }] })
    const keyed = newJob({ unique: unique('key') })
    const later = newJob({ delayMs: 60_000 })
    const [first, second] = [ordinary.slice(0, 50), ordinary.slice(50)]
    const jobs = [...first, needing, ...second, keyed, later]
    // An id that is named twice, and a call that repeats another, add nothing.
    await store.insert([...jobs, needed])
    await store.insert([...jobs, needed])

    const runs = await query(url, `SELECT last - first + 1 AS jobs FROM ${schema}.ready ORDER BY 1`)
    assert.deepEqual(
      runs.map((run) => Number(run['jobs'])),
      [1, 50, 50],
    )
    const counts = new Map<string, number>(
      (await store.counts()).map(({ state, count }) => [state, count]),
    )
    assert.deepEqual([...counts.keys()].toSorted(), ['blocked', 'ready', 'scheduled'])
    assert.deepEqual(
      ['blocked', 'ready', 'scheduled'].map((state) => counts.get(state)),
      [1, 101, 1],
    )
    const claimed = (await store.claim(claimOf({ limit: 200 }))).jobs.map(({ id }) => id)
    assert.deepEqual(
      claimed,
      [...ordinary, keyed].map(({ id }) => id),
    )
  })

  test('postgres: a batch of which one job is known adds the others, each once', async () => {
    const jobs = Array.from({ length: 20 }, () => newJob({ queue: 'known' }))
    await store.insert(jobs.slice(3, 4))
    await store.insert(jobs)
    const queues = [{ name: 'known', limit: 100 }]
    const { jobs: claimed } = await store.claim(claimOf({ queues, limit: 100 }))
    assert.deepEqual(claimed.map(({ id }) => id).toSorted(), jobs.map(({ id }) => id).toSorted())
    const counts = (await store.counts()).filter(({ queue }) => queue === 'known')
    assert.deepEqual(
      counts.map(({ state, count }) => [state, count]),
      [['running', 20]],
    )
  })

  test('postgres: whatever comes in one call is inserted as if it came one by one', async (t) => {
    const own = postgres(url, { schema: `${schema}_mixed` })
    const plain = memory()
    t.after(async () => {
      await own.close()
      await plain.close()
      await query(url, `DROP SCHEMA ${schema}_mixed CASCADE`)
    })
    const need = ({ id }: NewJob): NewJob['needs'] => [{ kind: 'job', id, onFailed: 'cancel' }]
    const known = newJob({ queue: 'known' })
    const kinds: Partial<NewJob>[] = [
      {},
      { priority: -3, queue: 'b' },
      { delayMs: 60_000 },
      { group: 'g', tags: ['t'], headers: { h: '1' }, options: '{}', parent: newJob().id },
      { input: '"ünï 😀 \\n"', keepCancelledMs: 5 },
    ]
    const ordinary = Array.from({ length: 40 }, (_, n) => newJob(kinds[n % kinds.length]))
    const [first, second, , , last] = [...ordinary.slice(0, 4), ordinary.at(-1)]
    assert.ok(first && second && last)
    const needsFirst = newJob({ needs: need(first) })
    // What stands behind it is not known to it.
    const needsLast = newJob({ needs: need(last) })
    const keyed = newJob({ unique: unique('key') })
    const jobs = [
      ...ordinary.slice(0, 10),
      needsFirst,
      needsLast,
      known,
      ...ordinary.slice(10, 30),
      keyed,
      newJob({ needs: need(needsFirst) }),
      ...ordinary.slice(30),
    ]
    const shown: unknown[] = []
    for (const store of [own, plain]) {
      await store.insert([known])
      const answers = [await store.insert(jobs), await store.insert(jobs.slice(5, 30))]
      const found = (await store.list({ limit: 100 })).jobs.map(
        ({ createdAt, dueAt, finishedAt, expiresAt, ...job }) => ({
          ...job,
          delayMs: dueAt - createdAt,
          hasEnded: finishedAt !== null,
          keptMs: expiresAt === null || finishedAt === null ? null : expiresAt - finishedAt,
        }),
      )
      const counts = (await store.counts()).map((one) => JSON.stringify(one)).toSorted()
      shown.push({ answers, found, counts })
    }
    assert.deepEqual(shown[0], shown[1])
    assert.equal((await own.get([needsLast.id]))[0]?.state, 'cancelled')
    assert.equal((await own.get([needsFirst.id]))[0]?.state, 'blocked')
  })
}
