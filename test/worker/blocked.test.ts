/** A handler that lets nothing else of its process have a turn, while another process looks for dead workers all the time. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { Worker as Thread } from 'node:worker_threads'
import { createErrand, task } from 'errand'
import { sqlite } from 'errand/sqlite'
import { newFile } from './harness.ts'

const leaseMs = 2_000
const blockMs = 5_000

/** Asks for jobs whose lease has expired every 50 ms, on an event loop of its own, and counts what it is given. */
const rival = `
const { parentPort, workerData } = require('node:worker_threads')
const answers = new Int32Array(workerData.answers)
const request = { worker: 'rival', tasks: ['block'], limit: 10, leaseMs: workerData.leaseMs }
import(workerData.module).then(async ({ sqlite }) => {
  const store = sqlite(workerData.file)
  for (;;) {
    const { jobs } = await store.rescue(request)
    Atomics.add(answers, 0, 1)
    Atomics.add(answers, 1, jobs.length)
    parentPort.postMessage(jobs.length)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
})
`

test('nobody is given the job of a handler that blocks its event loop for more than two lease times', async (t) => {
  const file = newFile(t)
  const answers = new Int32Array(new SharedArrayBuffer(8))
  const ended = Promise.withResolvers<{ readonly asked: number; readonly given: number }>()
  const block = task({
    name: 'block',
    run: async () => {
      const module = import.meta.resolve('errand/sqlite')
      const workerData = { file, module, leaseMs, answers: answers.buffer }
      const thread = new Thread(rival, { eval: true, workerData })
      await once(thread, 'message')
      const before = Atomics.load(answers, 0)
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, blockMs)
      ended.resolve({ asked: Atomics.load(answers, 0) - before, given: Atomics.load(answers, 1) })
      await thread.terminate()
    },
  })
  const errand = createErrand({ store: sqlite(file), tasks: [block], lease: leaseMs })
  t.after(() => errand.close())
  await errand.worker().start()
  const job = await errand.enqueue(block)
  const { asked, given } = await ended.promise
  assert.equal(given, 0)
  assert.ok(asked > 5, `asked only ${asked} times`)
  await job.result({ timeout: '60s' })
})
