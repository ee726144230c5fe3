/** Whether finished and scheduled jobs slow a claim. */
import { enqueueMails, openApp } from '../kit/app.ts'
import { prepare } from '../kit/fixtures.ts'
import { percentile } from '../kit/numbers.ts'
import { ticks } from '../kit/ticks.ts'
import { atMost, ratio, row } from '../row.ts'
import { scaled, type Measure, type Workload } from '../workload.ts'

const claims = 300
const sizes = [1, 100] as const
const warmUp = 50

function claimedAmong(others: number): Measure {
  return async (setting) => {
    const present = others === 0 ? 0 : scaled(others, setting)
    if (present > 0) await prepare(setting, { finished: present, scheduled: present })
    const app = openApp(setting)
    await enqueueMails(app, 0, (claims + warmUp) * (sizes[0] + sizes[1]))
    const p50 = async (limit: number): Promise<number> => {
      const ms: number[] = []
      for (let i = 0; i < claims + warmUp; i++) {
        const since = ticks()
        const { jobs } = await app.errand.store.claim({
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
    const figures = { one: await p50(sizes[0]), hundred: await p50(sizes[1]), present }
    await app.errand.close()
    return figures
  }
}

export const fullStore: Workload = {
  name: 'full-store',
  title: 'A store full of finished and scheduled jobs',
  durabilities: ['process', 'power'],
  cases: { empty: claimedAmong(0), full: claimedAmong(1_000_000) },
  rows: (measured) => {
    const [present = NaN] = measured('full', 'present')
    const full = `${present.toLocaleString('en-US')} finished and as many scheduled`
    return [
      row('claim of 1, empty store, p50', 'ms', measured('empty', 'one')),
      row(`claim of 1, ${full}, p50`, 'ms', measured('full', 'one')),
      row(
        'claim of 1, full / empty',
        'ratio',
        ratio(measured('full', 'one'), measured('empty', 'one')),
        atMost(1.5),
      ),
      row(
        'claim of 100, full / empty',
        'ratio',
        ratio(measured('full', 'hundred'), measured('empty', 'hundred')),
        atMost(1.5),
      ),
    ]
  },
}
