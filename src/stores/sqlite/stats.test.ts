import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { claimOf, counted, newJob, requeue } from '../../testing/conformance/jobs.ts'
import { VirtualClock } from '../../testing/virtual-clock.ts'
import { sqlite } from './index.ts'

test('the oldest ready job is found behind others that stand before it', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'errand-sqlite-'))
  const clock = new VirtualClock()
  const store = sqlite(join(folder, 'jobs.db'), { clock })
  t.after(async () => {
    await store.close()
    await rm(folder, { recursive: true })
  })
  const oldestReadyAt = async (): Promise<number | null | undefined> =>
    (await store.stats())[0]?.oldestReadyAt
  // Given back, these keep their places before the one that has been due for longer.
  await store.insert(Array.from({ length: 200 }, () => newJob()))
  const { jobs } = await store.claim(claimOf({ limit: 200 }))
  assert.equal(jobs.length, 200)
  await clock.advance(1_000)
  const since = clock.now()
  await store.insert([newJob()])
  assert.equal(await oldestReadyAt(), since)
  await clock.advance(1_000)
  await store.insert([newJob({ priority: -1_000 }), newJob({ priority: 1_000 })])
  await store.settle(jobs.map((job) => requeue(job, { place: 'keep' })))
  assert.equal(await oldestReadyAt(), since)

  // A suspect is ready, too.
  const [first] = (await store.claim(claimOf({ limit: 1 }))).jobs
  assert.ok(first)
  const counters = counted({ losses: 1 })
  await store.settle([requeue(first, { place: 'keep', suspect: true, counters })])
  const ready = await store.list({ states: ['ready'], limit: 1_000 })
  await store.remove(ready.jobs.map(({ id }) => id).filter((id) => id !== first.id))
  assert.deepEqual((await store.stats())[0]?.counts, { ready: 1 })
  assert.equal(await oldestReadyAt(), clock.now())
})
