/** What jobs that need others cost those beside them. */
import type { NewJob } from 'errand/store'
import { v7 } from 'uuid'
import { checkResults, type OpenApp } from '../kit/app.ts'
import { Drain } from '../kit/drain.ts'
import { mail } from '../kit/job.ts'
import { median } from '../kit/numbers.ts'
import type { Figures } from '../workload.ts'

const batch = 1_000
/** One job of so many needs the one before it, */
const among = 90
/** in this part of the jobs, so that no drain ends with a job that was released last. */
const mixedShare = 0.9
const pairs = 5

/**
 * Drains so many plain jobs, and as many of which 1 % need another, in turn and in pairs: which of
 * the two goes first alternates. Throws unless every job ran exactly once.
 *
 * Both rates are of all jobs: with 1 % of them, releasing what waits is part of the work that is
 * measured, so that a ratio of 0.97 leaves a job that needs another the cost of four plain ones, if
 * it costs the others nothing.
 */
export async function needs(open: OpenApp, jobs: number): Promise<Figures> {
  const all = (1 + 2 * pairs) * jobs
  const drain = new Drain(open, all)
  await drain.start()
  let first = 0
  const next = async (share: 'none' | 'some'): Promise<number> => {
    const rate = await drained(drain, first, jobs, share)
    first += jobs
    return rate
  }
  // The first drain warms up.
  await next('some')
  const rates: { readonly none: number; readonly some: number }[] = []
  for (let pair = 0; pair < pairs; pair++) {
    if (pair % 2 === 0) {
      const none = await next('none')
      rates.push({ none, some: await next('some') })
    } else {
      const some = await next('some')
      rates.push({ none: await next('none'), some })
    }
  }
  await drain.stop()
  drain.ledger.check()
  await checkResults(drain.app, all)
  await drain.close()
  return {
    jobs,
    none: median(rates.map(({ none }) => none)),
    some: median(rates.map(({ some }) => some)),
    'some / none': median(rates.map(({ none, some }) => some / none)),
  }
}

/** Jobs per second, from the first start to the last settlement of those with ids from `first` on. */
async function drained(
  { app, ledger }: Drain,
  first: number,
  jobs: number,
  share: 'none' | 'some',
): Promise<number> {
  const { errand, watched } = app
  await errand.queues.pause('default')
  for (let from = first; from < first + jobs; from += batch) {
    const inserted = await errand.store.insert(
      batchOf(from, from < first + mixedShare * jobs ? share : 'none'),
    )
    if (inserted.some(({ status }) => status !== 'created'))
      throw new Error('a job was not inserted')
  }
  await errand.queues.resume('default')
  const settledAt = await watched.reached(first + jobs)
  const startedAt = ledger.startedAt.subarray(first, first + jobs)
  return (jobs / (settledAt - startedAt.reduce((a, b) => Math.min(a, b)))) * 1_000
}

/** Jobs as the client makes them, which knows no needs. */
function batchOf(first: number, share: 'none' | 'some'): readonly NewJob[] {
  const made: NewJob[] = []
  for (let n = 0; n < batch; n++) {
    const needed = share === 'some' && n % among === among - 1 ? made.at(-1) : undefined
    made.push({
      id: v7(),
      task: 'mail',
      queue: 'default',
      priority: 0,
      input: JSON.stringify(mail(first + n)),
      codec: null,
      options: null,
      parent: null,
      group: null,
      tags: [],
      headers: {},
      delayMs: 0,
      runAt: null,
      startWithinMs: null,
      deadlineMs: null,
      keepCancelledMs: null,
      unique: null,
      needs: needed === undefined ? [] : [{ kind: 'job', id: needed.id, onFailed: 'cancel' }],
      entry: null,
    })
  }
  return made
}
