import { tell } from '../../kit/peer.ts'
import { cpuMicroseconds, slept, ticks } from '../../kit/ticks.ts'
import type { JobsPart } from '../part.ts'
import { openErrand } from '../sides/errand.ts'

const queues = Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`queue-${i}`, {}]))
const settleMs = 2_000
const spanMs = 15_000

/** Watches a worker of 50 queues that has nothing to do. */
export async function idle({ setup }: JobsPart): Promise<void> {
  const side = openErrand(setup, { queues })
  const stop = await side.work(() => undefined)
  await slept(settleMs)
  const [callsBefore, cpuBefore, since] = [side.watched.calls.length, cpuMicroseconds(), ticks()]
  await slept(spanMs)
  const ms = ticks() - since
  const calls = side.watched.calls.length - callsBefore
  const cpu = cpuMicroseconds() - cpuBefore
  await stop()
  await side.close()
  await tell({ calls: (calls / ms) * 5_000, cpu: (cpu / 1_000 / ms) * 100 })
}
