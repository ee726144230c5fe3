/** A worker process: runs jobs until it is asked to stop, or killed. */
import type { ErrandConfig } from 'errand'
import { openStore } from '../../src/cli/open-store.ts'
import { App } from '../../src/client/app.ts'
import { Client } from '../../src/client/client.ts'
import { ErrandWorker } from '../../src/worker/worker.ts'
import { askedToStop, configOf, readPart } from './parts.ts'
import { keepingLedger, withoutFencing } from './watched-store.ts'

const { part, ledger } = readPart()
const opened = await openStore(part.store)
const store = keepingLedger(part.sabotage === null ? opened : withoutFencing(opened), ledger)
const app = new App(configOf(part, store, ledger) as ErrandConfig<unknown>, import.meta.dirname)
const client = new Client(app)
const worker = new ErrandWorker(app, client, {})

app.events.on('run-ended', ({ id, outcome }) => {
  if (outcome === 'stale') ledger.write({ kind: 'told-stale', id })
})
app.events.on('warning', ({ code, message }) => console.error(`${code}: ${message}`))
app.events.on('part-failed', ({ part: name, error }) => console.error(`${name} failed:`, error))

await worker.start()
await askedToStop()
// Too short for some of what runs, so that the end of a worker interrupts jobs as well.
await worker.stop({ grace: 300, abortGrace: 300, exiting: true })
await client.close()
await store.close()
process.exit(0)
