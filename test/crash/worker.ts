/** A worker process: runs jobs until it is asked to stop, or killed. */
import { createErrand, type StopOptions } from 'errand'
import { openStore } from '../../src/cli/open-store.ts'
import { askedToStop, configOf, readPart, tellUp } from './parts.ts'
import { keepingLedger, withoutFencing } from './watched-store.ts'

/** Too short for some of what runs, so that the end of a worker interrupts jobs as well. */
const stopping: StopOptions & { readonly exiting: true } = {
  grace: 300,
  abortGrace: 300,
  exiting: true,
}

const { part, ledger } = readPart()
const opened = await openStore(part.store)
const store = keepingLedger(part.sabotage === null ? opened : withoutFencing(opened), ledger)
const errand = createErrand(configOf(part, store, ledger))
const worker = errand.worker()

errand.on('run-ended', ({ id, outcome }) => {
  if (outcome === 'stale') ledger.write({ kind: 'told-stale', id })
})
errand.on('warning', ({ code, message }) => console.error(`${code}: ${message}`))
errand.on('part-failed', ({ part: name, error }) => console.error(`${name} failed:`, error))

await worker.start()
tellUp()
await askedToStop()
await worker.stop(stopping)
await errand.close()
process.exit(0)
