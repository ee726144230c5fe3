/** Workers and programs behind a manager. */
import { openApp, type AppOptions } from '../kit/app.ts'
import { Drain } from '../kit/drain.ts'
import { prepare } from '../kit/fixtures.ts'
import { remoteDrain, waiters, waits } from '../measures/remote.ts'
import { atLeast, atMost, ratio, row } from '../row.ts'
import { scaled, type Figures, type Setting, type Workload } from '../workload.ts'

const options: AppOptions = { slots: 100 }
const most = 5_000

async function localDrain(setting: Setting): Promise<Figures> {
  const jobs = scaled(50_000, setting)
  await prepare(setting, { waiting: jobs })
  const drain = new Drain((ran) => openApp(setting, ran, options), jobs)
  await drain.start()
  const settledAt = await drain.settled(jobs)
  await drain.stop()
  await drain.close()
  return { rate: (jobs / (settledAt - drain.startedAt)) * 1_000 }
}

export const remote: Workload = {
  name: 'remote',
  title: 'Behind a manager, a process of its own on the same machine',
  durabilities: ['process'],
  mostRuns: 5,
  cases: {
    'drain-local': localDrain,
    'drain-remote': (setting) => remoteDrain(setting, scaled(50_000, setting), options),
    'wait-local': (setting) => waits(setting, scaled(1_000, setting), 'local'),
    'wait-http': (setting) => waits(setting, scaled(1_000, setting), 'http'),
    claims: (setting) => waiters(setting, most, 'claims'),
    streams: (setting) => waiters(setting, most, 'streams'),
  },
  rows: (measured) => {
    const [local, far] = [measured('drain-local', 'rate'), measured('drain-remote', 'rate')]
    const [here, there] = [measured('wait-local', 'p50'), measured('wait-http', 'p50')]
    const added = there.map((ms, round) => ms - (here[round] ?? NaN))
    return [
      row('drain, a worker on the file', 'jobs/s', local),
      row('drain, a worker over HTTP', 'jobs/s', far),
      row('remote worker / local worker', 'ratio', ratio(far, local), atLeast(0.5)),
      row('enqueue and wait for the result on the file, p50', 'ms', here),
      row('enqueue and wait for the result over HTTP, p50', 'ms', there),
      row('what HTTP adds to it, p50', 'ms', added, atMost(5)),
      row('a manager with 5,000 claims that wait', 'MiB', measured('claims', 'held'), atMost(300)),
      row('a manager with 5,000 streams of hints', 'MiB', measured('streams', 'held'), atMost(300)),
    ]
  },
}
