/** Records that move together with jobs, where transactions of users hold what they need. */
import assert from 'node:assert/strict'
import test from 'node:test'
import pg from 'pg'
import { findPostgres, query } from '../../../test/postgres-server.ts'
import type { Advance } from '../../store/intake.ts'
import type { NewJob } from '../../store/job.ts'
import { newJob, unique } from '../../testing/conformance/jobs.ts'
import { postgres } from './index.ts'

const server = await findPostgres()
const schema = 'advances'

if (server !== null) {
  const { url } = server
  const store = postgres(url, { schema })
  test.after(async () => {
    await store.close()
    await query(url, `DROP SCHEMA ${schema} CASCADE`)
    await server.stop()
  })

  test('postgres: where a job of an advance is held, all jobs of it are, and its record stays', async () => {
    const [keyed, beside, free, other] = [
      newJob({ unique: unique('advanced') }),
      newJob(),
      newJob(),
      newJob(),
    ]
    const jobs = [beside, free, keyed, other]
    const advance = [moving('held', null, [beside, keyed]), moving('free', null, [other])]
    await within(async (client) => {
      await store.insert([newJob({ unique: unique('advanced') })], { tx: client })
      assert.deepEqual(await statuses(jobs, advance), ['held', 'created', 'held', 'created'])
      assert.deepEqual(await store.getRecords(['held', 'free']), [null, '1'])
      assert.deepEqual(await knownOf(jobs), [false, true, false, true])
    })
    // What was stored is known now, whatever the record says.
    assert.deepEqual(await statuses(jobs, advance), ['created', 'created', 'created', 'created'])
    assert.deepEqual(await store.getRecords(['held', 'free']), ['1', '1'])
  })

  test('postgres: where a transaction holds the record, the jobs of its advance are held, and what needs them', async () => {
    const [ticked, free] = [newJob(), newJob()]
    const needy = newJob({ needs: [{ kind: 'job', id: ticked.id, onFailed: 'cancel' }] })
    const carried = newJob({ needs: [{ kind: 'job', id: needy.id, onFailed: 'cancel' }] })
    const jobs = [ticked, free, needy, carried]
    const advance = [moving('tick', null, [ticked]), moving('tock', null, [carried])]
    await within(async (client) => {
      const own = newJob()
      await store.insert([own], { tx: client, advance: [moving('tick', null, [own])] })
      assert.deepEqual(await statuses(jobs, advance), ['held', 'created', 'held', 'held'])
      assert.deepEqual(await store.getRecords(['tick', 'tock']), [null, null])
    })
    assert.deepEqual(await statuses(jobs, advance), ['created', 'created', 'created', 'created'])
    const states = (await store.get(jobs.map(({ id }) => id))).map((job) => job?.state)
    assert.deepEqual(states, ['ready', 'ready', 'blocked', 'blocked'])
  })

  test('postgres: an advance in a transaction of the user goes with it', async () => {
    for (const verb of ['ROLLBACK', 'COMMIT'] as const) {
      const job = newJob()
      const hints: string[] = []
      const unwatch = store.watch((hint) => hints.push(hint))
      await within(async (client) => {
        const advance = [moving('own', null, [job])]
        const [answer] = await store.insert([job], { tx: client, advance })
        assert.equal(answer?.status, 'created')
        assert.deepEqual(await store.getRecords(['own']), [null])
        await client.query(verb)
      })
      const isCommitted = verb === 'COMMIT'
      assert.deepEqual(await store.getRecords(['own']), [isCommitted ? '1' : null])
      assert.deepEqual(await knownOf([job]), [isCommitted])
      unwatch()
    }
    const late = newJob()
    await within(async (client) => {
      const advance = [moving('own', null, [late])]
      const [answer] = await store.insert([late], { tx: client, advance })
      assert.equal(answer?.status, 'stale')
      await client.query('COMMIT')
    })
    assert.deepEqual(await knownOf([late]), [false])
  })

  test('postgres: writes of records wait for a transaction that holds one, and are refused as busy in the end', async () => {
    await within(async (client) => {
      const job = newJob()
      await store.insert([job], { tx: client, advance: [moving('busy', null, [job])] })
      const written = store.putRecords([{ key: 'busy', text: '2', if: null }])
      await new Promise((resolve) => setTimeout(resolve, 400))
      await client.query('COMMIT')
      assert.deepEqual(await written, ['stale'])
    })
    await within(async (client) => {
      await client.query(`SELECT 1 FROM ${schema}.records WHERE key = 'busy' FOR UPDATE`)
      await assert.rejects(store.putRecords([{ key: 'busy', text: '3' }]), { code: 'store-busy' })
    })
    assert.deepEqual(await store.getRecords(['busy']), ['1'])
  })

  async function statuses(
    jobs: readonly NewJob[],
    advance: readonly Advance[],
  ): Promise<readonly string[]> {
    return (await store.insert(jobs, { advance })).map(({ status }) => status)
  }

  async function knownOf(jobs: readonly NewJob[]): Promise<boolean[]> {
    return (await store.get(jobs.map(({ id }) => id))).map((job) => job !== null)
  }

  async function within(work: (client: pg.Client) => Promise<void>): Promise<void> {
    await store.setup()
    const client = new pg.Client(url)
    await client.connect()
    try {
      await client.query('BEGIN')
      await work(client)
    } finally {
      await client.end()
    }
  }
}

function moving(key: string, from: string | null, jobs: readonly NewJob[]): Advance {
  return { key, from, to: '1', jobs: jobs.map(({ id }) => id) }
}
