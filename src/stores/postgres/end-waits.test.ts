import assert from 'node:assert/strict'
import test from 'node:test'
import { setTimeout as soon } from 'node:timers/promises'
import pg from 'pg'
import { findPostgres, query } from '../../../test/postgres-server.ts'
import type { Hint } from '../../store/worker-calls.ts'
import { claimOf, finish, newJob } from '../../testing/conformance/jobs.ts'
import { postgres } from './index.ts'

const server = await findPostgres()
const schema = 'ends_waited'
/** Longer than messages of one kind are apart, and than one takes. */
const aWhileMs = 150

if (server !== null) {
  const { url } = server
  test.after(async () => {
    await query(url, `DROP SCHEMA ${schema} CASCADE`)
    await server.stop()
  })

  test('postgres: others are told of ends while one of them waits for ends, and of work always', async (t) => {
    const [here, elsewhere] = [postgres(url, { schema }), postgres(url, { schema })]
    const ear = new pg.Client(url)
    t.after(() => Promise.all([here.close(), elsewhere.close(), ear.end()]))
    await here.setup()
    await ear.connect()
    const told: string[] = []
    ear.on('notification', ({ payload = '' }) => told.push(payload.split(':')[0] ?? ''))
    await ear.query(`LISTEN "${schema}.hints"`)
    const toldOf = async (): Promise<readonly string[]> => {
      told.length = 0
      await here.insert([newJob()])
      const { jobs } = await here.claim(claimOf())
      await here.settle(jobs.map((job) => finish(job)))
      await soon(aWhileMs)
      return told.filter((kind) => kind !== 'ping').toSorted()
    }
    const workers: readonly Hint[] = ['work', 'cancel', 'paused']
    here.watch(() => {}, workers)
    elsewhere.watch(() => {}, workers)
    assert.deepEqual(await toldOf(), ['work'])

    let wakes = 0
    const stop = elsewhere.watch((hint) => (wakes += hint === 'finished' ? 1 : 0), ['finished'])
    await soon(aWhileMs)
    assert.ok(wakes > 0, 'what ended before is looked for once the wait is known')
    wakes = 0
    assert.deepEqual(await toldOf(), ['finished', 'work'])
    assert.ok(wakes > 0)

    stop()
    const rows = `SELECT count(*)::int AS n FROM ${schema}.end_waits`
    elsewhere.watch(() => {}, ['finished'])()
    assert.deepEqual(await toldOf(), ['finished', 'work'], 'it holds for a while')
    assert.equal((await query(url, rows))[0]?.['n'], 1)
    // As after a process that has ended without a word.
    await query(url, `UPDATE ${schema}.end_waits SET until = clock_timestamp()`)
    assert.deepEqual(await toldOf(), ['work'])
  })
}
