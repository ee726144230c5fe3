/** Stored jobs that something wrote over so that they cannot be read: each is failed, and nothing else is held up. */
import assert from 'node:assert/strict'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { longestMs } from '../../src/core/duration.ts'
import { task } from '../../src/core/task.ts'
import { sqlite } from '../../src/stores/sqlite/index.ts'
import type { FailureReport } from '../../src/core/enqueue-options.ts'
import { appOn, newFile } from './harness.ts'

/** What SQLite keeps and `node:sqlite` refuses to read as a number. */
const never = 2n ** 62n

/** What is written over a job, and how it is enqueued. */
const faults: Readonly<Record<string, { readonly sql: string; readonly delay?: '1h' }>> = {
  'a time of its insert': { sql: `UPDATE errand_jobs SET created_at = ${never} WHERE id = ?` },
  counters: { sql: `UPDATE errand_jobs SET counters = 'some' WHERE id = ?` },
  'a priority': { sql: `UPDATE errand_jobs SET priority = 1e300 WHERE id = ?` },
  'an input of another type': { sql: `UPDATE errand_jobs SET input = x'00ff' WHERE id = ?` },
  options: { sql: `UPDATE errand_jobs SET options = '{half' WHERE id = ?` },
  'options of another type': { sql: `UPDATE errand_jobs SET options = '7' WHERE id = ?` },
  'a due time': {
    sql: `UPDATE errand_scheduled SET due_at = ${never} WHERE seq = (SELECT seq FROM errand_jobs WHERE id = ?);
      UPDATE errand_jobs SET due_at = ${never} WHERE id = ?`,
    delay: '1h',
  },
}

for (const [what, { sql, delay }] of Object.entries(faults)) {
  test(`a job with ${what} that cannot be read is failed without a run, and others go on`, async (t) => {
    const ran: string[] = []
    const reports: FailureReport[] = []
    const report = task({ name: 'report', run: (given: FailureReport) => void reports.push(given) })
    const work = task({
      name: 'work',
      onFailure: [report],
      run: (name: string) => void ran.push(name),
    })
    const file = newFile(t)
    const {
      client,
      store,
      jobs,
      work: begin,
      reach,
      told,
      until,
    } = appOn(t, sqlite(file), {
      tasks: [work, report],
      lease: '600ms',
    })
    const before = await client.enqueue(work, 'before')
    const bad = await client.enqueue(work, 'kept', delay === undefined ? {} : { delay })
    const after = await client.enqueue(work, 'after')
    const db = new DatabaseSync(file)
    for (const one of sql.split(';')) db.prepare(one).run(bad.id)
    const [text] = db.prepare('SELECT input FROM errand_jobs WHERE id = ?').all(bad.id)

    assert.equal((await jobs.list()).jobs.length, 3)
    await begin()
    const failed = await reach(bad.id, 'failed')
    assert.deepEqual([failed.reason, failed.attempts, failed.failures], ['unreadable', 0, 0])
    for (const { id } of [before, after]) await reach(id, 'completed')
    assert.deepEqual(ran.toSorted(), ['after', 'before'])
    await until('the report', () => reports.length === 1)
    assert.deepEqual([reports[0]?.job.id, reports[0]?.reason], [bad.id, 'unreadable'])
    assert.deepEqual(db.prepare('SELECT input FROM errand_jobs WHERE id = ?').all(bad.id), [text])
    const heard = [
      ...told.warnings.filter(({ code }) => code === 'job-unreadable'),
      ...told.rescued.filter(({ why }) => why === 'unreadable'),
    ]
    assert.equal(heard.length, 1)
    assert.deepEqual(told.failed, [])
    db.close()

    // A worker that starts later finds nothing in its way.
    await begin()
    assert.equal((await store.list({ limit: 10 })).jobs.length, 4)
    await reach((await client.enqueue(work, 'later')).id, 'completed')
  })
}

test('stored options beyond all bounds put a job back by 100 years at most', async (t) => {
  const fail = task({
    name: 'fail',
    run: () => {
      throw new Error('as meant')
    },
  })
  const file = newFile(t)
  const { client, work, reach } = appOn(t, sqlite(file), { tasks: [fail] })
  const { id } = await client.enqueue(fail, undefined)
  const options = { layer: { backoff: { kind: 'constant', delayMs: 1e300 }, timeoutMs: 1e300 } }
  const db = new DatabaseSync(file)
  db.prepare('UPDATE errand_jobs SET options = ? WHERE id = ?').run(JSON.stringify(options), id)
  db.close()
  await work()
  const job = await reach(id, 'scheduled')
  assert.ok(job.dueAt.getTime() - job.createdAt.getTime() - longestMs < 60_000)
})
