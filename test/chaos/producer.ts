/** A producer process: enqueues at a constant pace until it is asked to stop, or killed. */
import { setTimeout as sleep } from 'node:timers/promises'
import { createErrand } from 'errand'
import { isErrandError } from '../../src/core/errors.ts'
import { mayPass } from '../../src/loops/supervised.ts'
import { openStore } from '../../src/cli/open-store.ts'
import { askedToStop, configOf, readPart, tellUp } from './parts.ts'
import { randomOf } from './random.ts'
import { drawCall } from './scenario.ts'

const everyMs = 50
const callsEachTime = 3
/** Of so many jobs one is cancelled, up to so much later. */
const cancelled = { share: 0.02, withinMs: 600 } as const

const { part, ledger } = readPart()
const random = randomOf(part.seed)
const errand = createErrand(configOf(part, await openStore(part.store), ledger))
const underWay = new Set<Promise<void>>()
const stop = new AbortController()
let calls = 0
let isLooking = false

tellUp()
void askedToStop().then(() => stop.abort())
for (let next = Date.now(); !stop.signal.aborted; next += everyMs) {
  for (let i = 0; i < callsEachTime; i++) {
    const call = enqueueOne(`${part.name}-${calls++}`)
    underWay.add(call)
    void call.finally(() => underWay.delete(call))
  }
  await sleep(Math.max(0, next + everyMs - Date.now()))
}
await Promise.all(underWay)
await errand.close()
process.exit(0)

/** Reads as a dashboard does, one look after the other, so that one is under way whatever befalls the way to the store. */
async function look(id: string): Promise<void> {
  if (isLooking) return
  isLooking = true
  try {
    await Promise.all([errand.jobs.get(id), errand.jobs.counts()])
  } catch (error) {
    if (mayPass(error) === 'no') throw error
  } finally {
    isLooking = false
  }
}

async function enqueueOne(key: string): Promise<void> {
  const { kind, work, options } = drawCall(random, key)
  const cancelAfterMs = random() < cancelled.share ? random() * cancelled.withinMs : null
  ledger.write({ kind: 'intent', key, task: kind.task })
  try {
    const { id, inserted: status } = await errand.enqueue(kind.task, work, options)
    ledger.write({ kind: 'ack', key, id, status })
    await look(id)
    if (cancelAfterMs === null) return
    await sleep(cancelAfterMs)
    const [answer] = await errand.store.cancel([id], 'cancelled by its producer')
    ledger.write({ kind: 'cancel', id, answer: answer! })
  } catch (error) {
    const unknown = isErrandError(error, 'unknown-outcome')
    ledger.write({ kind: 'nack', key, unknown, error: String(error) })
  }
}
