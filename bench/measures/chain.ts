/** How soon the jobs of a chain follow each other on an idle worker. */
import { workflow } from 'errand'
import { checkCompleted, type BenchApp, type OpenApp } from '../kit/app.ts'
import { Drain } from '../kit/drain.ts'
import { mail } from '../kit/job.ts'
import { median } from '../kit/numbers.ts'
import { enqueuePaced } from '../kit/paced.ts'
import type { Figures } from '../workload.ts'

const pickUps = 300
const warmUp = 50
const resultMs = 120_000

/**
 * Milliseconds from the start of one job of a chain to that of the next, beside those from the call
 * of `enqueue` in the same process to the start of an ordinary job. Throws unless every job ran
 * exactly once.
 */
export async function chain(open: OpenApp, links: number): Promise<Figures> {
  const first = pickUps + warmUp
  const drain = new Drain(open, first + links)
  await drain.start()
  const sentAt = await enqueuePaced(drain.app, pickUps)
  await drain.settled(pickUps)
  await run(drain.app, pickUps, warmUp)
  await run(drain.app, first, links)
  await drain.stop()
  drain.ledger.check()
  // Each run has a job at its end.
  await checkCompleted(drain.app, first + links + 2, 'with-hidden')
  await drain.close()
  const { startedAt } = drain.ledger
  const pickUp = median(sentAt.map((at, id) => (startedAt[id] ?? NaN) - at).slice(warmUp))
  const starts = [...startedAt.subarray(first)]
  const gaps = starts.slice(1).map((at, n) => at - (starts[n] ?? NaN))
  const link = ((starts.at(-1) ?? NaN) - (starts[0] ?? NaN)) / (links - 1)
  return {
    links,
    link,
    'link p50': median(gaps),
    'pick-up': pickUp,
    'link / pick-up': median(gaps) / pickUp,
  }
}

/** Runs a workflow in which each job needs the one before. */
async function run({ errand, task }: BenchApp, first: number, links: number): Promise<void> {
  const flow = workflow({
    name: 'chain',
    build(w) {
      let before = w.add('link-0', task, mail(first))
      for (let n = 1; n < links; n++)
        before = w.add(`link-${n}`, task, mail(first + n), { needs: [before] })
    },
  })
  const started = await errand.start(flow)
  await started.result({ timeout: resultMs })
}
