import { mail } from '../../kit/job.ts'
import { percentile } from '../../kit/numbers.ts'
import { tell } from '../../kit/peer.ts'
import { ticks } from '../../kit/ticks.ts'
import type { JobsPart } from '../part.ts'
import { openErrand } from '../sides/errand.ts'

const warmUp = 50
const sizes = [1, 100] as const

/** Times claims of Errand's store, so many of each size. */
export async function measureClaims({ setup, jobs: claims }: JobsPart): Promise<void> {
  const side = openErrand(setup)
  const needed = (claims + warmUp) * (sizes[0] + sizes[1])
  for (let start = 0; start < needed; start += 1_000)
    await side.enqueueMany(Array.from({ length: 1_000 }, (_, i) => mail(start + i)))
  const p50 = async (limit: number): Promise<number> => {
    const ms: number[] = []
    for (let i = 0; i < claims + warmUp; i++) {
      const since = ticks()
      const { jobs } = await side.watched.store.claim({
        worker: 'bench',
        queues: [{ name: 'default', limit }],
        others: 0,
        limit,
        leaseMs: 600_000,
        maxLosses: null,
        id: null,
      })
      ms.push(ticks() - since)
      if (jobs.length !== limit) throw new Error(`claimed ${jobs.length} of ${limit}`)
    }
    return percentile(ms.slice(warmUp), 0.5)
  }
  const figures = { one: await p50(sizes[0]), hundred: await p50(sizes[1]) }
  await side.close()
  await tell(figures)
}
