/** The statements' plans: nothing on the way of a job scans what grows. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import test from 'node:test'
import {
  requeue,
  claimOf,
  rescueOf,
  finish,
  newJob,
  unique,
  workerOf,
} from '../../testing/conformance/jobs.ts'
import { sqlite } from './index.ts'

/** Scans of what stays small: what runs now, paused queues, workers, claims of a lease's time, lists handed in, single rows of subqueries. */
const allowed =
  /^SCAN (r|e|errand_running|json_each|keeps|errand_paused|errand_workers|errand_claims|errand_tally|CONSTANT ROW|\(subquery-\d\))( |$)/
/** Statements that only look whether a table is empty. */
const looks =
  /^SELECT EXISTS \(SELECT 1 FROM errand_\w+\)(\s+OR EXISTS \(SELECT 1 FROM errand_\w+\))*$/

test('no statement on the way of a job scans a table that grows, or sorts', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'errand-sqlite-'))
  const file = join(folder, 'jobs.db')
  const prepare = t.mock.method(DatabaseSync.prototype, 'prepare')
  const store = sqlite(file)
  const plain = Array.from({ length: 5 }, () => newJob())
  const special = newJob({ unique: unique('key'), startWithinMs: 5, deadlineMs: 5, delayMs: 1 })
  const blocked = newJob({ needs: [{ kind: 'job', id: plain[0]?.id ?? '', onFailed: 'run' }] })
  const failing = newJob({ needs: [{ kind: 'job', id: special.id, onFailed: 'fail' }] })
  const entry = { kind: 'failed', reason: 'why', attempt: 'e', keepMs: 0 } as const
  const parked = newJob({ entry, group: 'group', tags: ['tag'] })
  const inline = newJob({ queue: 'i', entry: { kind: 'running', worker: 'w', leaseMs: 1 } })
  const advance = [{ key: 'cursor', from: null, to: '1', jobs: [plain[0]?.id ?? ''] }]
  await store.insert([...plain, special, blocked, failing, parked, inline], { advance })
  await store.insert([plain[1] ?? special], { advance: [{ ...advance[0]!, jobs: [plain[1]!.id] }] })
  await store.insert([newJob({ unique: unique('key', { onConflict: 'replace' }) })])
  const request = claimOf({ limit: 4, others: 5, maxLosses: 3, id: 'claim' })
  await store.claim(request)
  const { jobs } = await store.claim(request)
  const [first, second, third, fourth] = jobs
  assert.ok(first && second && third && fourth)
  await store.note([
    { kind: 'start', id: first.id, token: first.token, agoMs: 0 },
    { kind: 'log', id: first.id, token: first.token, agoMs: 0, level: 'info', text: '' },
    { kind: 'progress', id: first.id, token: first.token, value: '1' },
  ])
  await store.record([{ id: first.id, token: first.token, name: 'step', text: '1' }])
  await store.recorded({ id: first.id, after: null, limit: 1 })
  await store.renew(jobs, 1_000)
  await store.settle([
    finish(first, { followUps: [newJob()], attempt: 'e' }),
    requeue(second, { suspect: true }),
    requeue(third, { delayMs: 1 }),
    finish(fourth, { keepMs: 0 }),
    finish(fourth),
  ])
  await store.claim(claimOf({ maxLosses: 3, id: null }))
  await store.rescue(rescueOf())
  await store.tend(workerOf())
  await store.stats()
  await store.list({ group: 'group', limit: 1 })
  await store.list({ parent: first.id, limit: 1 })
  await store.listRecords({ prefix: 'cur', after: 'cursor', limit: 1 })
  await store.cancel([special.id, plain[4]?.id ?? ''], null)
  await store.retry([special.id])
  await store.take([first.id])
  await store.remove([special.id])
  await store.prune({ limit: 10, cap: 0 })
  await store.close()
  const statements = new Set(prepare.mock.calls.map((call) => call.arguments[0]))
  prepare.mock.restore()

  const own = new DatabaseSync(file)
  t.after(async () => {
    own.close()
    await rm(folder, { recursive: true })
  })
  const hot = [...statements].filter((sql) => /^\s*(WITH|SELECT|INSERT|UPDATE|DELETE)/.test(sql))
  assert.ok(hot.length > 70, `${hot.length} statements`)
  const listed = { 'group_id = ? AND': 'errand_jobs_group', 'parent = ? AND': 'errand_jobs_parent' }
  for (const [condition, index] of Object.entries(listed)) {
    const sql = hot.find((one) => one.includes(condition))
    assert.ok(sql, condition)
    const steps = own.prepare(`EXPLAIN QUERY PLAN ${sql}`).all()
    assert.ok(
      steps.some(({ detail }) => String(detail).includes(index)),
      index,
    )
  }
  for (const sql of hot.filter((sql) => !sql.includes('sqlite_schema') && !looks.test(sql))) {
    for (const step of own.prepare(`EXPLAIN QUERY PLAN ${sql}`).all()) {
      const detail = String(step['detail'])
      // The sweep sorts what it found expired, which is little.
      if (detail.startsWith('SCAN')) assert.match(detail, allowed, sql)
      if (detail.includes('TEMP B-TREE')) assert.match(sql, /lease_until <= |errand_overdue/, sql)
    }
  }
})
