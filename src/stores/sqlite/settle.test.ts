import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { claimOf, finish, newJob, requeue, unique } from '../../testing/conformance/jobs.ts'
import { sqlite } from './index.ts'

test('settlements written at one go end where one of them ends jobs that need it', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'errand-sqlite-'))
  const store = sqlite(join(folder, 'jobs.db'))
  t.after(async () => {
    await store.close()
    await rm(folder, { recursive: true })
  })
  const [needed, back] = [newJob(), newJob({ unique: unique('key', { during: ['ready'] }) })]
  await store.insert([needed, back])
  const leases = new Map((await store.claim(claimOf())).jobs.map((job) => [job.id, job]))
  const needs = [{ kind: 'job', id: needed.id, onFailed: 'cancel' }] as const
  const holder = newJob({ needs, unique: unique('key', { during: ['blocked'] }) })
  await store.insert([holder])

  const [first, second] = [leases.get(needed.id), leases.get(back.id)]
  assert.ok(first && second)
  await store.settle([finish(first, { state: 'failed' }), requeue(second)])
  assert.equal((await store.get([holder.id]))[0]?.state, 'cancelled')
  const rule = unique('key', { during: ['ready'] })
  const [answer] = await store.insert([newJob({ unique: rule })])
  assert.deepEqual(answer, { id: back.id, status: 'duplicate', token: null })
})
