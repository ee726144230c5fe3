/** A process of the run: a worker whose handler writes in the transaction that completes its job, and which may be cut off on the way. */
import { isErrandError } from '../../src/core/errors.ts'
import type { RunningJob } from '../../src/core/running-job.ts'
import { constant, createErrand, task } from '../../src/index.ts'
import { openEffects } from './effects.ts'
import { leaseMs, taskName, type Order, type Part, type Place, type Report } from './part.ts'
import { openStore } from './store.ts'

const part = JSON.parse(process.argv[2] ?? '') as Part
const effects = openEffects(part.store, part.slots)
let arrivals = 0
let goOn = (): void => {}
const go = new Promise<void>((resolve) => (goOn = resolve))

const tell = (report: Report): void => void process.send?.(report)

async function reach(place: Place, id: string): Promise<void> {
  if (part.fate?.place !== place || ++arrivals !== part.fate.on) return
  if (part.fate.how === 'kill') process.kill(process.pid, 'SIGKILL')
  tell({ kind: 'at', id })
  await go
}

async function run(job: RunningJob): Promise<void> {
  const { id, token } = job
  await reach('before begin', id)
  await effects.within(async ({ tx, write }) => {
    await reach('after begin', id)
    await write('effects_first', { id, token })
    await reach('after insert', id)
    await job.complete(tx, token)
    await reach('after complete', id)
    await write('effects_second', { id, token })
    await reach('before commit', id)
  })
  await reach('after commit', id)
}

const effect = task({
  name: taskName,
  losses: 'none',
  retry: { limit: 'none', backoff: constant(100) },
  run: async (_: undefined, job) => {
    let refused: string | null = null
    try {
      await run(job)
    } catch (error) {
      refused = isErrandError(error) ? error.code : String(error)
      throw error
    } finally {
      tell({ kind: 'over', id: job.id, refused })
    }
  },
})

const errand = createErrand({
  store: openStore(part.store),
  tasks: [effect],
  lease: leaseMs,
  slots: part.slots,
})
const worker = errand.worker()
process.on('message', (order: Order) => {
  if (order === 'go') return goOn()
  void end()
})
await worker.start()
tell({ kind: 'up' })

async function end(): Promise<void> {
  await worker.stop()
  await errand.close()
  await effects.close()
  process.disconnect?.()
}
