import assert from 'node:assert/strict'
import test from 'node:test'
import { isErrandError } from '../../core/errors.ts'
import type { JobState } from '../../core/job.ts'
import {
  raceRules,
  runRules,
  storeRules,
  type StoreHarness,
} from '../../testing/conformance/index.ts'
import { newJob } from '../../testing/conformance/jobs.ts'
import { VirtualClock } from '../../testing/virtual-clock.ts'
import { memory, MemoryDatabase } from './index.ts'

const harness: StoreHarness = {
  async create() {
    const clock = new VirtualClock()
    const database = new MemoryDatabase()
    const stores = [memory({ clock, database })]
    return {
      store: stores[0]!,
      another: async () => {
        const store = memory({ clock, database })
        stores.push(store)
        return store
      },
      advance: (ms) => clock.advance(ms),
      dispose: async () => {
        for (const store of stores) await store.close()
      },
    }
  },
}

runRules({ test, harness, rules: [...storeRules, ...raceRules] })

test('memory: a transaction of the caller is refused before anything is written', async () => {
  const store = memory()
  const isRefused = (error: unknown): boolean => isErrandError(error, 'tx-unsupported')
  await assert.rejects(store.insert([newJob()], { tx: {} }), isRefused)
  await assert.rejects(store.settle([], {}), isRefused)
  assert.deepEqual(await store.counts(), [])
})

test('memory: what the caller does to a job after its insert does not reach the store', async () => {
  const store = memory()
  const during: JobState[] = ['ready']
  const job = newJob({
    unique: { key: 'k', during, forMs: null, onConflict: 'skip', maxWaitMs: null },
  })
  await store.insert([job])
  during.pop()
  const [answer] = await store.insert([{ ...job, id: newJob().id }])
  assert.equal(answer?.status, 'duplicate')
})

test('memory: stores that share no database share no jobs', async () => {
  await memory().insert([newJob()])
  assert.deepEqual(await memory().counts(), [])
})
