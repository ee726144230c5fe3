/** A run that lets nothing else of its process have a turn, while another process asks for the lock all the time. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { Worker as Thread } from 'node:worker_threads'
import { createErrand, singleton } from 'errand'
import { sqlite } from 'errand/sqlite'

const blockMs = 5_000

/** Asks for the lock every 50 ms, on an event loop of its own, and counts what it is answered. */
const rival = `
const { parentPort, workerData } = require('node:worker_threads')
const answers = new Int32Array(workerData.answers)
const request = { name: 'reports', holder: 'rival', token: null, ttlMs: 2000, host: 'there', pid: 1 }
import(workerData.module).then(async ({ sqlite }) => {
  const store = sqlite(workerData.file)
  for (;;) {
    const { status } = await store.hold(request)
    Atomics.add(answers, status === 'held' ? 1 : 0, 1)
    parentPort.postMessage(status)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
})
`

test('nobody else gets the lock while a run blocks its event loop for more than twice the ttl', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'errand-blocked-'))
  t.after(() => rm(folder, { recursive: true }))
  const file = join(folder, 'errand.db')
  const answers = new Int32Array(new SharedArrayBuffer(8))
  let asked = 0
  let got = 0
  const reports = singleton({
    name: 'reports',
    once: true,
    ttl: '2s',
    liveness: [],
    run: async () => {
      const module = import.meta.resolve('errand/sqlite')
      const workerData = { file, module, answers: answers.buffer }
      const thread = new Thread(rival, { eval: true, workerData })
      await once(thread, 'message')
      const before = Atomics.load(answers, 0)
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, blockMs)
      asked = Atomics.load(answers, 0) - before
      got = Atomics.load(answers, 1)
      await thread.terminate()
    },
  })
  const errand = createErrand({ store: sqlite(file), singletons: [reports] })
  t.after(() => errand.close())
  const { signal } = new AbortController()
  const { status } = await errand.singletons.run('reports', { signal })
  assert.equal(got, 0)
  assert.ok(asked > 5, `asked only ${asked} times`)
  assert.equal(status, 'succeeded')
})
