/** What runs of many jobs cost Errand on a server. */
import { ranLarge } from '../pieces.ts'
import { bounded, compared, quotient, type Group } from '../group.ts'
import type { OpenPlace } from '../stage.ts'
import { errandDefault } from './errand-alone.ts'
import { batchJobs, fanInNodes, type Sizer } from './sizes.ts'

export function largeRuns(open: OpenPlace, sized: Sizer): Group {
  const sizes = { batch: sized(batchJobs), 'fan-in': sized(fanInNodes) } as const
  return {
    name: 'large-runs',
    title: 'Runs of many jobs',
    note: 'One process starts the run, then works. Calls are those of the store; the run of a tenth as many jobs comes before.',
    isAlone: true,
    mostRuns: 3,
    pieces: {
      batch: ranLarge(open, errandDefault, 'large-batch', sizes.batch),
      'fan-in': ranLarge(open, errandDefault, 'fan-in', sizes['fan-in']),
    },
    shares: [],
    rows: (measured) =>
      (['batch', 'fan-in'] as const).flatMap((name) => {
        const many = `${name} of ${sizes[name].toLocaleString('en-US')}`
        const [whole, tenth] = [measured(name, 'whole'), measured(name, 'whole at a tenth')]
        const call = measured(name, 'longest call of the start')
        return [
          compared(`${many}: start of 1,000`, 'ms', { byDefault: measured(name, 'start') }),
          compared(`${many}: start and run of 1,000`, 'ms', { byDefault: whole }, [
            quotient('× that of a tenth', [whole, tenth], { most: 1.5 }),
          ]),
          compared(`${name}: longest call of the start`, 'ms', { byDefault: call }, [
            bounded('ms', call, 50),
          ]),
          compared(`${name}: longest call of the worker`, 'ms', {
            byDefault: measured(name, 'longest call of the worker'),
          }),
          compared(`${name}: longest settlement`, 'ms', {
            byDefault: measured(name, 'longest settle'),
          }),
        ]
      }),
  }
}
