/** A worker process: runs jobs until it is asked to stop, or killed. */
import { setTimeout as sleep } from 'node:timers/promises'
import { createErrand, type StopOptions, type Worker } from 'errand'
import { openStore } from '../../src/cli/open-store.ts'
import { mayPass } from '../../src/loops/supervised.ts'
import { stopWorkerToExit } from '../../src/worker/stop-to-exit.ts'
import { askedToStop, configOf, readPart, tellUp } from './parts.ts'
import { keepingLedger, withoutFencing } from './watched-store.ts'

/** Too short for some of what runs, so that the end of a worker interrupts jobs as well. */
const stopping: StopOptions = { grace: 300, abortGrace: 300 }

/** Between two attempts to start while the store is away. */
const restMs = 200

const { part, ledger } = readPart()
const opened = await openStore(part.store)
const store = keepingLedger(part.sabotage === null ? opened : withoutFencing(opened), ledger)
const errand = createErrand(configOf(part, store, ledger))

errand.on('run-ended', ({ id, outcome }) => {
  if (outcome === 'stale') ledger.write({ kind: 'told-stale', id })
})
errand.on('warning', ({ code, message }) => console.error(`${code}: ${message}`))
errand.on('part-failed', ({ part: name, error }) => console.error(`${name} failed:`, error))

const asked = askedToStop()
const worker = await started()
if (worker !== null) {
  tellUp()
  await asked
  await stopWorkerToExit(worker, stopping)
}
await errand.close()
process.exit(0)

/** A worker that works, as soon as the store can be reached; null when this process is asked to stop before. */
async function started(): Promise<Worker | null> {
  for (;;) {
    const worker = errand.worker()
    try {
      await worker.start()
      return worker
    } catch (error) {
      if (mayPass(error) !== 'yes') throw error
      console.error('not started:', error)
      const isAsked = await Promise.race([asked.then(() => true), sleep(restMs, false)])
      if (isAsked) return null
    }
  }
}
