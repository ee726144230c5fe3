/** What the verbs of operators take on many jobs, called as a user would. */
import { checkResults, enqueueMails, type OpenApp } from '../kit/app.ts'
import { Drain } from '../kit/drain.ts'
import { ticks } from '../kit/ticks.ts'
import type { Figures } from '../workload.ts'

/** Takes in flight; a take is a call for one job. */
const takers = 100
const page = 1_000

/**
 * Seconds that each verb takes on so many jobs. Throws when a verb does not reach each job exactly
 * once.
 */
export async function verbs(open: OpenApp, jobs: number): Promise<Figures> {
  const drain = new Drain(open, jobs)
  const { app } = drain
  const { errand } = app
  await enqueueMails(app, 0, jobs)
  const cancel = await seconds(async () => expect(await errand.jobs.cancel({}), 'cancelled', jobs))
  const retry = await seconds(async () =>
    expect(await errand.jobs.retry({ state: 'cancelled' }), 'retried', jobs),
  )
  await drain.start()
  await drain.settled(jobs)
  await drain.stop()
  drain.ledger.check()
  await checkResults(app, jobs)
  const ids = await idsOf(errand)
  const taken = new Uint8Array(jobs)
  const take = await seconds(() => takeAll(errand, ids, taken))
  if (taken.some((times) => times !== 1)) throw new Error('a job was not taken exactly once')
  await enqueueMails(app, 0, jobs)
  const remove = await seconds(async () => expect(await errand.jobs.remove({}), 'removed', jobs))
  const left = await errand.jobs.counts()
  if (left.length > 0) throw new Error(`nothing should be left: ${JSON.stringify(left)}`)
  await drain.close()
  return { jobs, cancel, retry, take, remove }
}

type Errand = Drain['app']['errand']

async function seconds(work: () => Promise<void>): Promise<number> {
  const since = ticks()
  await work()
  return (ticks() - since) / 1_000
}

function expect(tally: Readonly<Record<string, number>>, answer: string, jobs: number): void {
  if (Object.keys(tally).length === 1 && tally[answer] === jobs) return
  throw new Error(`${jobs} jobs should be ${answer}, but the tally is ${JSON.stringify(tally)}`)
}

async function idsOf(errand: Errand): Promise<readonly string[]> {
  const ids: string[] = []
  for (let after: string | null | undefined; after !== null;) {
    const cursor = after === undefined ? {} : { after }
    const found = await errand.jobs.list({ limit: page, ...cursor })
    ids.push(...found.jobs.map(({ id }) => id))
    after = found.next
  }
  return ids
}

async function takeAll(errand: Errand, ids: readonly string[], taken: Uint8Array): Promise<void> {
  let next = 0
  const taker = async (): Promise<void> => {
    while (next < ids.length) {
      const id = ids[next++] ?? ''
      const job = await errand.jobs.take(id)
      const { id: mail } = (job?.input ?? { id: -1 }) as { readonly id: number }
      const { ok } = (job?.output ?? { ok: NaN }) as { readonly ok: number }
      if (ok !== mail) throw new Error(`job ${id} was taken without its result`)
      taken[mail] = (taken[mail] ?? 0) + 1
    }
  }
  await Promise.all(Array.from({ length: takers }, taker))
}
