/** How long a parent waits for its many children. */
import { workflow } from 'errand'
import { checkCompleted, type OpenApp } from '../kit/app.ts'
import { Drain } from '../kit/drain.ts'
import { mail } from '../kit/job.ts'
import { median } from '../kit/numbers.ts'
import { ticks } from '../kit/ticks.ts'
import type { Figures } from '../workload.ts'

/** The first warms up. */
export const families = 6
const resultMs = 120_000

/**
 * Milliseconds from the call that stores a parent and its children to the start of the parent, which
 * needs all of them, on an idle worker in the same process. Throws unless every job ran exactly once.
 */
export async function children(open: OpenApp, count: number): Promise<Figures> {
  const size = count + 1
  const drain = new Drain(open, families * size)
  const { errand, task } = drain.app
  await drain.start()
  const calledAt: number[] = []
  for (let family = 0; family < families; family++) {
    const first = family * size
    const flow = workflow({
      name: 'family',
      build(w) {
        const needs = Array.from({ length: count }, (_, n) =>
          w.add(`child-${n}`, task, mail(first + n)),
        )
        w.add('parent', task, mail(first + count), { needs })
      },
    })
    calledAt.push(ticks())
    const started = await errand.start(flow)
    await started.result({ timeout: resultMs })
  }
  await drain.stop()
  drain.ledger.check()
  await checkCompleted(drain.app, families * (size + 1), 'with-hidden')
  await drain.close()
  return familyFigures(count, calledAt, drain.ledger.startedAt)
}

/** What the families came to: the parent's id is the last of each. */
export function familyFigures(
  count: number,
  calledAt: readonly number[],
  startedAt: Float64Array,
): Figures {
  const ms = calledAt.map((at, family) => (startedAt[family * (count + 1) + count] ?? NaN) - at)
  const typical = median(ms.slice(1))
  return { children: count, ms: typical, rate: (count / typical) * 1_000 }
}
