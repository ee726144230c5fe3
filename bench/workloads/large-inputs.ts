/** Whether a worker's memory stays bounded where many large inputs wait. */
import { openApp } from '../kit/app.ts'
import { median, shown } from '../kit/numbers.ts'
import { Peer } from '../kit/peer.ts'
import { drainLarge, inputText, mostResident } from '../measures/large-inputs.ts'
import { atMost, row } from '../row.ts'
import { scaled, type Figures, type Setting, type Workload } from '../workload.ts'

async function drained(setting: Setting): Promise<Figures> {
  const jobs = scaled(4_000, setting)
  const filler = new Peer(new URL('../peers/filler.ts', import.meta.url), { place: setting, jobs })
  await filler.ended()
  return drainLarge((ran) => openApp(setting, ran), jobs)
}

export const largeInputs: Workload = {
  name: 'large-inputs',
  title: `Jobs with inputs of ${inputText}`,
  durabilities: ['process'],
  mostRuns: 3,
  cases: { drained },
  rows: (measured) => {
    const figure = (name: string): readonly number[] => measured('drained', name)
    return [
      row(`drain, ${shown(median(figure('waiting')))} MiB waiting`, 'MiB/s', figure('rate')),
      row('resident before', 'MiB', figure('before')),
      row('resident at most', 'MiB', figure('peak'), atMost(mostResident)),
    ]
  },
}
