/** Processes that run parents with many children. */
import { mail } from '../../kit/job.ts'
import { Ledger } from '../../kit/ledger.ts'
import { tell } from '../../kit/peer.ts'
import { ticks } from '../../kit/ticks.ts'
import { children, families, familyFigures } from '../../measures/children.ts'
import type { JobsPart } from '../part.ts'
import { openBullMq } from '../sides/bullmq.ts'
import { opener } from './measures.ts'

export async function raiseChildren({ setup, jobs: count }: JobsPart): Promise<void> {
  const isErrand = setup.side === 'errand'
  await tell(await (isErrand ? children(opener(setup.url), count) : bullChildren(setup, count)))
}

/** As `children` does, with flows of BullMQ. */
async function bullChildren(
  setup: JobsPart['setup'],
  count: number,
): Promise<ReturnType<typeof familyFigures>> {
  const side = await openBullMq(setup)
  await side.setup()
  const size = count + 1
  const ledger = new Ledger(families * size)
  let parentRan: (id: number) => void = () => undefined
  const stop = await side.work((id) => {
    ledger.ran(id)
    parentRan(id)
  })
  const calledAt: number[] = []
  for (let first = 0; first < families * size; first += size) {
    const done = new Promise<void>((resolve) => {
      parentRan = (id) => {
        if (id === first + count) resolve()
      }
    })
    const mails = Array.from({ length: count }, (_, n) => mail(first + n))
    calledAt.push(ticks())
    await side.enqueueFamily(mail(first + count), mails)
    await done
  }
  await stop()
  ledger.check()
  await side.check(families * size)
  await side.close()
  return familyFigures(count, calledAt, ledger.startedAt)
}
