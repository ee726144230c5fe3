/** Fills a file with waiting, scheduled and finished jobs. */
import { randomUUID } from 'node:crypto'
import type { Store } from 'errand'
import { enqueueMails, openApp } from '../kit/app.ts'
import type { Contents } from '../kit/fixtures.ts'
import { mail } from '../kit/job.ts'
import { given } from '../kit/peer.ts'

const batch = 1_000
const leaseMs = 30_000

const { folder, contents } = given<{ folder: string; contents: Contents }>()
const app = openApp({ folder, durability: 'process' })
const { finished = 0, scheduled = 0, waiting = 0 } = contents

for (let done = 0; done < finished; done += batch) {
  await enqueueMails(app, done, done + batch)
  await finish(app.errand.store)
}
for (let done = 0; done < scheduled; done += batch) {
  const entries = Array.from(
    { length: batch },
    (_, i) => [app.task, mail(done + i), { delay: '1d' }] as const,
  )
  await app.errand.enqueueMany(entries)
}
await enqueueMails(app, 0, waiting)
await app.errand.close()
process.disconnect?.()

/** Claims and completes what waits, as a worker would. */
async function finish(store: Store): Promise<void> {
  const worker = randomUUID()
  const queues = [{ name: 'default', limit: batch }]
  const { jobs } = await store.claim({
    worker,
    queues,
    others: 0,
    limit: batch,
    leaseMs,
    maxLosses: null,
    id: null,
  })
  await store.settle(
    jobs.map(({ id, token, counters }) => ({
      kind: 'finish',
      id,
      token,
      state: 'completed',
      output: '{"ok":1}',
      reason: null,
      keepMs: 86_400_000,
      startedAgoMs: null,
      yieldsToCancel: false,
      counters: { ...counters, attempts: 1 },
      attempt: null,
      followUps: [],
    })),
  )
}
